/**
 * The two services as grpc-js wants them: loaded from the .proto files of this package, with the raw codec for Chunk.
 * The files lie beside `src` and beside `dist`, so the same path serves both.
 */
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
} from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';
import { decodeChunk, encodeChunk } from './chunk-codec.adapter.js';
import type * as wire from './messages.js';

/** The folder that holds graft/v1/*.proto. */
export const protoFolder = fileURLToPath(new URL('..', import.meta.url));

/** Everything in graft/v1, for `loadPackageDefinition` or Nest's gRPC server; Chunk has the raw codec there too. */
export const packageDefinition: PackageDefinition = withRawChunks(
  loadSync(['graft/v1/enrolment.proto', 'graft/v1/federation.proto'], {
    includeDirs: [protoFolder],
    keepCase: false,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  }),
);

type Method<Request, Response> = MethodDefinition<Request, Response>;

/** graft.v1.Enrolment, for `server.addService(enrolmentService, handlers)`. */
export const enrolmentService = { enrol: method<wire.EnrolRequest, wire.EnrolResponse>('Enrolment', 'Enrol') };

/** graft.v1.Federation, for `server.addService(federationService, handlers)`. */
export const federationService = {
  connect: method<wire.ConnectRequest, wire.Instruction>('Federation', 'Connect'),
  heartbeat: method<wire.HeartbeatRequest, wire.HeartbeatResponse>('Federation', 'Heartbeat'),
  download: method<wire.DownloadRequest, wire.Chunk>('Federation', 'Download'),
  uploadState: method<wire.UploadStateRequest, wire.UploadStateResponse>('Federation', 'UploadState'),
  upload: method<wire.Chunk, wire.UploadReceipt>('Federation', 'Upload'),
  reportUpdate: method<wire.ReportUpdateRequest, wire.Verdict>('Federation', 'ReportUpdate'),
  reportFailure: method<wire.ReportFailureRequest, wire.Verdict>('Federation', 'ReportFailure'),
  reportEvaluation: method<wire.ReportEvaluationRequest, wire.Verdict>('Federation', 'ReportEvaluation'),
  reportInstalled: method<wire.ReportInstalledRequest, wire.Verdict>('Federation', 'ReportInstalled'),
};

/** What a server of graft.v1.Enrolment implements. */
export type EnrolmentHandlers = { enrol: handleUnaryCall<wire.EnrolRequest, wire.EnrolResponse> };

/** What a server of graft.v1.Federation implements. */
export type FederationHandlers = {
  connect: handleServerStreamingCall<wire.ConnectRequest, wire.Instruction>;
  heartbeat: handleUnaryCall<wire.HeartbeatRequest, wire.HeartbeatResponse>;
  download: handleServerStreamingCall<wire.DownloadRequest, wire.Chunk>;
  uploadState: handleUnaryCall<wire.UploadStateRequest, wire.UploadStateResponse>;
  upload: handleClientStreamingCall<wire.Chunk, wire.UploadReceipt>;
  reportUpdate: handleUnaryCall<wire.ReportUpdateRequest, wire.Verdict>;
  reportFailure: handleUnaryCall<wire.ReportFailureRequest, wire.Verdict>;
  reportEvaluation: handleUnaryCall<wire.ReportEvaluationRequest, wire.Verdict>;
  reportInstalled: handleUnaryCall<wire.ReportInstalledRequest, wire.Verdict>;
};

function method<Request, Response>(service: string, name: string): Method<Request, Response> {
  const found = serviceOf(packageDefinition, `graft.v1.${service}`)[name];
  if (found === undefined) throw new Error(`graft.v1.${service} has no method ${name}`);
  return found as Method<Request, Response>;
}

type LoadedType = { readonly type: { readonly name: string } };
type LoadedMethod = Method<unknown, unknown> & { readonly requestType: LoadedType; readonly responseType: LoadedType };

function serviceOf(definition: PackageDefinition, name: string): Record<string, LoadedMethod> {
  return definition[name] as Record<string, LoadedMethod>;
}

/** The definition with the raw codec wherever a method takes or gives a Chunk. */
function withRawChunks(definition: PackageDefinition): PackageDefinition {
  for (const name of ['graft.v1.Enrolment', 'graft.v1.Federation']) {
    for (const entry of Object.values(serviceOf(definition, name))) {
      if (entry.requestType.type.name === 'Chunk') {
        Object.assign(entry, { requestSerialize: encodeChunk, requestDeserialize: decodeChunk });
      }
      if (entry.responseType.type.name === 'Chunk') {
        Object.assign(entry, { responseSerialize: encodeChunk, responseDeserialize: decodeChunk });
      }
    }
  }
  return definition;
}
