import { withMemoryBackend, withRedisBackend } from "./work_queue_backends.ts";
import { workQueueContract } from "./work_queue_contract.ts";

workQueueContract("memory", withMemoryBackend);
workQueueContract("redis", withRedisBackend);
