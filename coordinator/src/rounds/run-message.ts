/**
 * What a run's owner is told, as plain data: it may cross the database to another replica. Everything in it has been checked;
 * the machine decides.
 */
import type { UpdateManifest } from '@graft/protos/messages';

import type { Opened } from './admission.js';
import type { Refusal } from './machine/event.js';
import type { SiteMeasures } from './machine/state.js';
import type { Verdict } from './rounds.js';

/** What was found of an update outside the machine's turn. */
export type Checked =
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** The machine has an answer without looking inside. */
  | { readonly kind: 'settled' }
  | { readonly kind: 'opened'; readonly opened: Opened };

export interface UpdateMessage {
  readonly kind: 'update';
  readonly agentId: string;
  /** Its signature has been verified. */
  readonly manifest: UpdateManifest;
  /** The signed bytes that it was read from. */
  readonly bytes: Uint8Array;
  readonly checked: Checked;
}

export type RunMessage =
  | UpdateMessage
  /** A manifest that cannot be trusted. */
  | { readonly kind: 'unread'; readonly agentId: string; readonly refusal: Refusal }
  | {
      readonly kind: 'failure';
      readonly agentId: string;
      readonly round: number;
      readonly code: string;
      readonly message: string;
    }
  | {
      readonly kind: 'evaluation';
      readonly agentId: string;
      readonly round: number;
      readonly measures: SiteMeasures;
    }
  | { readonly kind: 'stop'; readonly reason: string };

/** A message with the name that it keeps when it is sent again, and its verdict once there is one. */
export interface Letter {
  readonly seq: number;
  readonly runId: string;
  readonly message: RunMessage;
}

/** What came of a message: the machine may have nothing to say. */
export type Answer = { readonly verdict?: Verdict };
