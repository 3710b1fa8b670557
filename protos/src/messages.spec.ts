/** The interfaces of messages.ts name exactly the fields of graft/v1/*.proto, by reflection on both. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { packageDefinition } from './service-definitions.adapter.js';

interface Descriptor {
  readonly name: string;
  readonly field: readonly { readonly name: string; readonly type: string; readonly label: string; typeName: string }[];
  readonly oneofDecl: readonly { readonly name: string }[];
}

const descriptors = Object.values(packageDefinition)
  .filter((entry) => 'format' in entry)
  .map((entry) => (entry as unknown as { type: Descriptor }).type);

const source = readFileSync(fileURLToPath(new URL('messages.ts', import.meta.url)), 'utf8');

const scalars: Readonly<Record<string, string>> = {
  TYPE_STRING: 'string',
  TYPE_BYTES: 'Uint8Array',
  TYPE_BOOL: 'boolean',
  TYPE_FLOAT: 'number',
  TYPE_DOUBLE: 'number',
  TYPE_UINT32: 'number',
  TYPE_UINT64: 'number',
  TYPE_INT64: 'number',
};

/** Fields and their types as the .proto files have them. */
function declared({ field }: Descriptor): string[] {
  return field.map(({ name, type, label, typeName }) => {
    const value = scalars[type] ?? typeName.replace(/^.*\./u, '');
    return `${name}: ${label === 'LABEL_REPEATED' ? `readonly ${value}[]` : value}`;
  });
}

/** Fields and their types as messages.ts has them; the names of oneofs are left out. */
function written(name: string): string[] {
  const [body = ''] =
    new RegExp(`export (?:interface ${name} \\{|type ${name} =)[^]*?\\n(?:\\}|\\);)\\n`, 'u').exec(source) ?? [];
  return [...body.matchAll(/readonly (\w+)\??: ([^;]+?)(?: \| null)?(?:;| \})/gu)]
    .filter(([, , type]) => !/^('|never)/u.test(type ?? ''))
    .map(([, field, type]) => `${field}: ${type}`);
}

describe('messages.ts', () => {
  test.each(descriptors.map((descriptor) => [descriptor.name, descriptor] as const))(
    'has the fields of %s, with their types',
    (name, descriptor) => {
      expect(written(name).toSorted()).toEqual(declared(descriptor).toSorted());
    },
  );

  test('has no message that the .proto files lack', () => {
    const names = [...source.matchAll(/^export (?:interface|type) (\w+)/gmu)].map(([, name]) => name);
    expect(names.toSorted()).toEqual(descriptors.map(({ name }) => name).toSorted());
  });
});
