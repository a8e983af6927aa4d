/** Every table, in the order in which they are made. */
import { executionBlockTable } from "./execution_block.ts";
import { executionTransactionTable } from "./execution_transaction.ts";
import { executionTransactionAuditTable } from "./execution_transaction_audit.ts";
import { executionTransactionTraceTable } from "./execution_transaction_trace.ts";
import { schemaVersionTable } from "./schema_version.ts";
import { structlogTable } from "./structlog.ts";
import { structlogAggTable } from "./structlog_agg.ts";
import type { TableDefinition } from "./table.ts";

export const tables: readonly TableDefinition[] = [
  structlogTable,
  structlogAggTable,
  executionTransactionTable,
  executionTransactionTraceTable,
  executionBlockTable,
  schemaVersionTable,
  executionTransactionAuditTable,
];
