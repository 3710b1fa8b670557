/** What federations are asked to do. */
import type { TaskSpec } from '@graft/models/pipeline/task-spec';

import type { TaskView } from './task-view.js';

export interface Tasks {
  list(): Promise<readonly TaskView[]>;
  /** By id or name; NOT_FOUND where there is none. */
  get(idOrName: string): Promise<TaskView>;
  /** Derives trunk, tail and checkpoint 0 off the event loop. The same again answers what is there; ALREADY_EXISTS for another one of the name. */
  create(spec: TaskSpec): Promise<TaskView>;
}
