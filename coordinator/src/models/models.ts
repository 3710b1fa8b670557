/** The library of base models. */
import type { ModelView, RegisterModel } from './model-view.js';

export interface Models {
  list(): Promise<readonly ModelView[]>;
  /** By id or name; NOT_FOUND where there is none. */
  get(idOrName: string): Promise<ModelView>;
  /** Registering the same again answers what is there; ALREADY_EXISTS where the name stands for other bytes; NOT_FOUND for a blob that is not stored. */
  register(request: RegisterModel): Promise<ModelView>;
}
