/** Clients of the two services, with promises for calls that have one answer. They reject with grpc-js's ServiceError. */
import {
  type CallOptions,
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientReadableStream,
  type ClientWritableStream,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { clientChannelOptions } from './channel-options.js';
import type * as wire from './messages.js';
import { enrolmentService, federationService } from './service-definitions.adapter.js';
import { currentTraceparent, traceparentField } from './trace/trace-scope.adapter.js';

/** `deadline` as in grpc-js; `signal` cancels the call. */
export interface CallSettings extends Pick<CallOptions, 'deadline'> {
  readonly signal?: AbortSignal;
}

/** Which blob an Upload carries and where it starts; they travel as the call's metadata. */
export interface UploadStart {
  readonly blob: wire.BlobRef;
  readonly firstChunk: number;
}

export interface UploadCall {
  /** Write chunks with back-pressure, then end. */
  readonly chunks: ClientWritableStream<wire.Chunk>;
  /** Settles when the coordinator has stored and verified the blob, or refused it: watch it while writing. */
  readonly receipt: Promise<wire.UploadReceipt>;
}

type Unary<Request, Response> = (request: Request, settings?: CallSettings) => Promise<Response>;

export interface FederationClient {
  connect(request: wire.ConnectRequest, settings?: CallSettings): ClientReadableStream<wire.Instruction>;
  readonly heartbeat: Unary<wire.HeartbeatRequest, wire.HeartbeatResponse>;
  download(request: wire.DownloadRequest, settings?: CallSettings): ClientReadableStream<wire.Chunk>;
  readonly uploadState: Unary<wire.UploadStateRequest, wire.UploadStateResponse>;
  upload(start: UploadStart, settings?: CallSettings): UploadCall;
  readonly reportUpdate: Unary<wire.ReportUpdateRequest, wire.Verdict>;
  readonly reportFailure: Unary<wire.ReportFailureRequest, wire.Verdict>;
  readonly reportEvaluation: Unary<wire.ReportEvaluationRequest, wire.Verdict>;
  readonly reportInstalled: Unary<wire.ReportInstalledRequest, wire.Verdict>;
  close(): void;
}

export interface EnrolmentClient {
  readonly enrol: Unary<wire.EnrolRequest, wire.EnrolResponse>;
  close(): void;
}

/** Names of the metadata of Upload. */
export const uploadMetadata = { blob: 'graft-blob', size: 'graft-size', firstChunk: 'graft-first-chunk' } as const;

/** A client of graft.v1.Federation at host:port. Close it, or its connection keeps the process alive. */
export function federationClient(
  address: string,
  credentials: ChannelCredentials,
  options: ChannelOptions = {},
): FederationClient {
  const client = openChannel(address, credentials, options);
  const service = federationService;
  return {
    connect: (request, settings) => serverStream(client, service.connect, request, settings),
    heartbeat: unary(client, service.heartbeat),
    download: (request, settings) => serverStream(client, service.download, request, settings),
    uploadState: unary(client, service.uploadState),
    upload: (start, settings) => upload(client, start, settings),
    reportUpdate: unary(client, service.reportUpdate),
    reportFailure: unary(client, service.reportFailure),
    reportEvaluation: unary(client, service.reportEvaluation),
    reportInstalled: unary(client, service.reportInstalled),
    close: () => client.close(),
  };
}

/** A client of graft.v1.Enrolment at host:port. */
export function enrolmentClient(
  address: string,
  credentials: ChannelCredentials,
  options: ChannelOptions = {},
): EnrolmentClient {
  const client = openChannel(address, credentials, options);
  return { enrol: unary(client, enrolmentService.enrol), close: () => client.close() };
}

/** Calls to this machine go past a proxy that the environment names; all others may need it. */
function openChannel(address: string, credentials: ChannelCredentials, options: ChannelOptions): Client {
  const loopback = /^(localhost|127\.[\d.]+|\[::1\]):\d+$/u.test(address);
  return new Client(address, credentials, {
    ...clientChannelOptions,
    ...(loopback ? { 'grpc.enable_http_proxy': 0 } : {}),
    ...options,
  });
}

function unary<Request, Response>(
  client: Client,
  method: MethodDefinition<Request, Response>,
): Unary<Request, Response> {
  return (request, settings = {}) =>
    new Promise((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = method;
      const call = client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        callMetadata(),
        callOptions(settings),
        settle(resolve, reject),
      );
      cancelOn(settings.signal, call);
    });
}

function serverStream<Request, Response>(
  client: Client,
  method: MethodDefinition<Request, Response>,
  request: Request,
  settings: CallSettings = {},
): ClientReadableStream<Response> {
  const { path, requestSerialize, responseDeserialize } = method;
  const call = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    callMetadata(),
    callOptions(settings),
  );
  cancelOn(settings.signal, call);
  return call;
}

function upload(client: Client, { blob, firstChunk }: UploadStart, settings: CallSettings = {}): UploadCall {
  const metadata = callMetadata();
  metadata.set(uploadMetadata.blob, blob.hash);
  metadata.set(uploadMetadata.size, String(blob.sizeBytes));
  metadata.set(uploadMetadata.firstChunk, String(firstChunk));
  const { path, requestSerialize, responseDeserialize } = federationService.upload;
  let answer: (error: ServiceError | null, value?: wire.UploadReceipt) => void = () => undefined;
  const receipt = new Promise<wire.UploadReceipt>((resolve, reject) => (answer = settle(resolve, reject)));
  // A refusal may come while the caller still writes; it stays readable on `receipt` and must not end the process.
  receipt.catch(() => undefined);
  const chunks = client.makeClientStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    metadata,
    callOptions(settings),
    (error, value) => answer(error, value),
  );
  cancelOn(settings.signal, chunks);
  return { chunks, receipt };
}

/** What goes with every call: the trace that it belongs to. */
function callMetadata(): Metadata {
  const metadata = new Metadata();
  const traceparent = currentTraceparent();
  if (traceparent !== undefined) metadata.set(traceparentField, traceparent);
  return metadata;
}

function callOptions({ deadline }: CallSettings): CallOptions {
  return deadline === undefined ? {} : { deadline };
}

function settle<Response>(resolve: (value: Response) => void, reject: (reason: Error) => void) {
  return (error: ServiceError | null, value?: Response): void => {
    if (error !== null) reject(error);
    else if (value === undefined) reject(new Error('the call ended without an answer'));
    else resolve(value);
  };
}

interface Cancellable {
  cancel(): void;
  once(event: 'status', listener: () => void): unknown;
}

function cancelOn(signal: AbortSignal | undefined, call: Cancellable): void {
  if (signal === undefined) return;
  const cancel = (): void => call.cancel();
  if (signal.aborted) return cancel();
  signal.addEventListener('abort', cancel, { once: true });
  call.once('status', () => signal.removeEventListener('abort', cancel));
}
