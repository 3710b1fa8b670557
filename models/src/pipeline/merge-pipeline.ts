/** A pipeline's two parts as one model, for export as one .onnx file. */
import { compose } from '../graph/compose.js';
import type { Model } from '../graph/graph.js';

/** The tail alone where there is no trunk. Throws as `compose` does. */
export function mergePipeline(trunk: Model | undefined, tail: Model): Model {
  return trunk === undefined ? tail : compose(trunk, tail);
}
