// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// What the dev chain executes: one contract per thing that a trace can show. `tools/build_contracts.ts` compiles this
// file to `workload.json`.

/// Storage that is filled and cleared again (refunds), with an event for each write.
contract Vault {
    mapping(uint256 => uint256) public slots;

    event Stored(uint256 indexed key, uint256 value, address indexed by);

    receive() external payable {}

    function fill(uint256 first, uint256 count, uint256 value) external {
        for (uint256 i = 0; i < count; i++) {
            slots[first + i] = value + i;
            emit Stored(first + i, value + i, msg.sender);
        }
    }

    function clear(uint256 first, uint256 count) external {
        for (uint256 i = 0; i < count; i++) {
            delete slots[first + i];
        }
    }
}

/// What the factory makes. Its constructor refuses the value 0.
contract Child {
    uint256 public value;

    constructor(uint256 initial) payable {
        require(initial != 0, "a child needs a value");
        value = initial;
    }

    function add(uint256 amount) external returns (uint256) {
        value += amount;
        return value;
    }
}

/// CREATE, CREATE2, and a CREATE whose constructor reverts.
contract Factory {
    event Made(address indexed child, bytes32 salt);

    function make(uint256 value) external payable returns (Child child) {
        child = new Child{value: msg.value}(value);
        emit Made(address(child), 0);
    }

    function makeAt(bytes32 salt, uint256 value) public returns (Child child) {
        child = new Child{salt: salt}(value);
        emit Made(address(child), salt);
    }

    function makeNone() external returns (bool made) {
        try new Child(0) returns (Child) {
            made = true;
        } catch {}
    }
}

/// What the proxy runs in its own storage.
contract Counter {
    uint256 public count;

    event Bumped(uint256 count);

    function bump(uint256 by) external returns (uint256) {
        count += by;
        emit Bumped(count);
        return count;
    }
}

/// Passes each call on with DELEGATECALL, and reverts where the implementation does.
contract Proxy {
    address private immutable IMPLEMENTATION;

    constructor(address implementation) {
        IMPLEMENTATION = implementation;
    }

    fallback() external payable {
        address target = IMPLEMENTATION;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let done := delegatecall(gas(), target, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch done
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}

/// Everything that can go wrong.
contract Faulty {
    error Refused(uint256 code);

    uint256 private written;

    function refuse(uint256 code) external {
        written = code;
        revert Refused(code);
    }

    function burn() external {
        for (uint256 i = 1;; i++) {
            written = i;
        }
    }

    function halt() external pure {
        assembly {
            invalid()
        }
    }

    /// A child reverts, one runs out of gas, one halts; the caller goes on each time.
    function survive(uint256 code) external returns (uint256 failures) {
        try this.refuse(code) {} catch { failures++; }
        try this.burn{gas: 60000}() {} catch { failures++; }
        try this.halt{gas: 5000}() {} catch { failures++; }
    }
}

/// Calls each precompile that a contract of this size can feed.
contract Precompiles {
    function all(bytes32 seed) public view returns (bytes32 digest) {
        bytes memory word = abi.encodePacked(seed);
        digest = sha256(word) ^ bytes32(ripemd160(word));
        digest ^= bytes32(uint256(uint160(ecrecover(seed, 27, seed, sha256(word)))));
        digest ^= sha256(run(4, abi.encodePacked(seed, seed, seed)));
        // 3 ** seed modulo a prime of 32 bytes
        uint256 prime = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;
        digest ^= bytes32(run(5, abi.encodePacked(uint256(32), uint256(32), uint256(32), uint256(3), seed, prime)));
        // the generator of alt_bn128 doubled, and multiplied
        digest ^= bytes32(run(6, abi.encodePacked(uint256(1), uint256(2), uint256(1), uint256(2))));
        digest ^= bytes32(run(7, abi.encodePacked(uint256(1), uint256(2), seed)));
        // an empty product of pairings is 1
        digest ^= bytes32(run(8, ""));
        // twelve rounds of blake2f over zeros
        digest ^= bytes32(run(9, abi.encodePacked(uint32(12), new bytes(208), uint8(1))));
    }

    /// The point (1, 1) is on no curve: the precompile burns all that it is given.
    function refused() external view returns (bool done) {
        (done,) = address(6).staticcall{gas: 3000}(abi.encodePacked(uint256(1), uint256(1), uint256(1), uint256(1)));
    }

    function run(uint160 number, bytes memory input) private view returns (bytes memory output) {
        bool done;
        (done, output) = address(number).staticcall(input);
        require(done, "a precompile refused its input");
    }
}

/// A loop and nothing else: one round is nineteen opcodes.
contract Loop {
    function spin(uint256 rounds) external pure returns (uint256 sum) {
        assembly {
            for { let i := 0 } lt(i, rounds) { i := add(i, 1) } { sum := add(sum, mul(i, i)) }
        }
    }
}

/// One transaction that visits all of the others, several levels deep.
contract Tour {
    Vault private immutable VAULT;
    Factory private immutable FACTORY;
    Counter private immutable PROXY;
    Faulty private immutable FAULTY;
    Precompiles private immutable PRECOMPILES;

    constructor(Vault vault, Factory factory, Counter proxy, Faulty faulty, Precompiles precompiles) payable {
        VAULT = vault;
        FACTORY = factory;
        PROXY = proxy;
        FAULTY = faulty;
        PRECOMPILES = precompiles;
    }

    function visit(uint256 levels, uint256 seed) external returns (bytes32 digest) {
        if (levels != 0) {
            digest = this.visit(levels - 1, seed);
            VAULT.fill(seed + levels, 1, seed);
            return digest;
        }
        Child child = FACTORY.makeAt(bytes32(seed), seed | 1);
        child.add(seed);
        PROXY.bump(seed % 7 + 1);
        (bool sent,) = address(VAULT).call{value: 1}("");
        require(sent, "the vault takes ether");
        try FAULTY.refuse(seed) {} catch {}
        try FAULTY.burn{gas: 30000}() {} catch {}
        digest = PRECOMPILES.all(bytes32(seed)) ^ bytes32(child.value());
    }
}
