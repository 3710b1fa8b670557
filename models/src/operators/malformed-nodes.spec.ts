/** Nodes that no exporter writes: a shape rule gives types or says what is wrong, whatever it is given. */
import { describe, expect, it } from '@jest/globals';
import { array, assert, constantFrom, integer, option, property, record, type Arbitrary } from 'fast-check';

import { GraftError } from '@graft/core/error';

import type { Attribute, Node } from '../graph/graph.js';
import type { Known, Site } from './operator.js';
import { operatorTable } from './operator-table.js';
import { TypeScope } from './type-scope.js';

const small = integer({ min: -5, max: 6 });

const known: Arbitrary<Known | undefined> = option(
  record(
    {
      dtype: constantFrom('float32', 'int64', 'bool'),
      shape: array(constantFrom<number | string>(0, 1, 2, 3, 'batch', 'seq+1'), { maxLength: 5 }),
      elements: array(constantFrom<number | string>(-3, -1, 0, 1, 2, 5, 2 ** 40, 0.5, 'batch'), { maxLength: 5 }),
    },
    { requiredKeys: ['dtype'] },
  ),
  { nil: undefined },
);

const names = [
  'axis',
  'axes',
  'allowzero',
  'batch_dims',
  'blocksize',
  'perm',
  'to',
  'start',
  'end',
  'num_outputs',
  'split',
  'keepdims',
  'kernel_shape',
  'strides',
  'dilations',
  'pads',
  'group',
];

const attribute: Arbitrary<Attribute> = option(array(small, { maxLength: 5 }), { nil: undefined }).chain((ints) =>
  (ints === undefined ? constantFrom(-1, 0, 1, 2, 7, 2 ** 40) : integer({ min: 0, max: 0 })).map((value) =>
    ints === undefined ? { kind: 'int', value } : { kind: 'ints', value: ints },
  ),
);

const site = (op: string): Arbitrary<Site> =>
  record({
    inputs: array(known, { maxLength: 6 }),
    attributes: array(record({ name: constantFrom(...names), attribute }), { maxLength: 4 }),
    outputs: integer({ min: 1, max: 3 }),
  }).map(({ inputs, attributes, outputs }) => {
    const node: Node = {
      name: 'node',
      op: op.slice(op.lastIndexOf('.') + 1),
      domain: op.includes('.') ? op.slice(0, op.lastIndexOf('.')) : '',
      inputs: inputs.map((each, i) => (each === undefined ? '' : `x${i}`)),
      outputs: Array.from({ length: outputs }, (_, i) => `y${i}`),
      attributes: Object.fromEntries(attributes.map((each) => [each.name, each.attribute])),
    };
    return { node, inputs };
  });

describe('a node that makes no sense', () => {
  it.each(Object.keys(operatorTable))('%s gets types or an error that names it', (op) => {
    assert(
      property(site(op), ({ node, inputs }) => {
        const scope = new TypeScope();
        for (const [i, type] of inputs.entries()) if (type !== undefined) scope.declare(`x${i}`, type);
        try {
          scope.infer(node);
          for (const [, { shape = [] }] of scope.entries()) {
            const sizes = shape.filter((size) => typeof size === 'number');
            expect(sizes.filter((size) => !Number.isInteger(size) || size < 0)).toEqual([]);
          }
        } catch (error) {
          if (!(error instanceof GraftError)) throw error;
          expect([error.code, error.message]).toEqual([
            expect.stringMatching(/^MODEL_(MALFORMED|UNSUPPORTED)$/),
            expect.stringContaining('node'),
          ]);
        }
      }),
      { numRuns: 50 },
    );
  });
});
