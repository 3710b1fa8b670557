/** What both sides set on their channels, each with its reason. */
import { limits } from '@graft/core/limits';

/**
 * Options of a client channel.
 * - Flow control: grpc-js 1.14 knows this option on the client only; a server needs `widenServerWindow` as well.
 * - Keepalive: the instruction stream is silent between rounds, and a firewall drops what is silent for minutes. A dead
 *   peer is noticed after `keepalive_time_ms + keepalive_timeout_ms`.
 * - Retries are the agent's own, by idempotency key; the channel's would hold every sent chunk in memory.
 */
export const clientChannelOptions = {
  'grpc-node.flow_control_window': limits.flowControlWindowBytes,
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_receive_message_length': limits.messageBytes,
  'grpc.max_send_message_length': limits.messageBytes,
  'grpc.enable_retries': 0,
  'grpc.initial_reconnect_backoff_ms': 250,
  'grpc.max_reconnect_backoff_ms': 10_000,
} as const;

/** Options of a server; also pass the server to `widenServerWindow` before it is bound. */
export const serverChannelOptions = {
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_receive_message_length': limits.messageBytes,
  'grpc.max_send_message_length': limits.messageBytes,
} as const;
