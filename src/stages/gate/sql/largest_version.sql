-- Largest delivery token that the records of a network carry: where tokens of a queue without memory go on.
SELECT max(row_version) AS version FROM execution_transaction_trace WHERE meta_network_name = {network:String}
