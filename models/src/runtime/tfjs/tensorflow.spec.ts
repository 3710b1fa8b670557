/** The runtime tfjs on TensorFlow itself, where its addon is built. */
import { tensorflowFolder, whyNoTensorflow } from '../../../../test/tensorflow.adapter.js';
import { describeTraining } from './differential.contract.js';
import { describeOperators } from './operators.contract.js';
import { describeOptions } from './options.contract.js';
import { openTfjs, type TfjsRuntime } from './tfjs.adapter.js';

const missing = await whyNoTensorflow();

/** The addon, through which every operation of TensorFlow goes. */
type Binding = Readonly<Record<string, unknown>> & { executeOp: (op: string, ...rest: unknown[]) => unknown };

const open = (): Promise<TfjsRuntime> => openTfjs({ backends: ['tfjs-node'], from: tensorflowFolder() });

if (missing === undefined) {
  const operations = new Set<string>();

  describeTraining('tensorflow', async () => {
    const runtime = await open();
    const backend = runtime.tf.backend() as unknown as { binding: Binding };
    const { binding } = backend;
    const executeOp: Binding['executeOp'] = (op, ...rest) => {
      operations.add(op);
      return binding.executeOp(op, ...rest);
    };
    backend.binding = new Proxy<Binding>({ executeOp }, { get: (own, name: string) => own[name] ?? binding[name] });
    return runtime;
  });

  describeOptions('tensorflow', open);
  await describeOperators(open);

  describe('the addon of TensorFlow', () => {
    test('has computed the steps above', () => {
      const some = ['Conv2D', 'Conv2DBackpropInput', 'DepthwiseConv2dNative', 'BatchMatMulV2', 'MaxPool', 'Erf', 'Sum'];
      expect([...operations]).toEqual(expect.arrayContaining(some));
    });
  });
} else {
  process.stderr.write(`Skipped: tfjs on TensorFlow. ${missing}. GRAFT_REQUIRE_TENSORFLOW=1 makes this a failure.\n`);
  test(`tfjs on TensorFlow is skipped: ${missing}`, () => {
    expect(process.env['GRAFT_REQUIRE_TENSORFLOW']).not.toBe('1');
  });
}
