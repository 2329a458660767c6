/** The road as the commands that a user types, and what they answer with `--json`; alice makes and releases, bob approves. */

type Words = readonly string[];

const BY_ALICE: Words = ['--as', 'alice'];

export const roadCommands = {
  addOperator: (name: string): Words => ['operator', 'add', name],
  import: (csv: string): Words => ['customers', 'import', csv, ...BY_ALICE],
  create: (notice: string, route: string, options: Words = []): Words => [
    ...['broadcast', 'create', notice, '--route', route],
    ...options,
    ...BY_ALICE,
  ],
  prepare: (id: string): Words => ['broadcast', 'prepare', id, ...BY_ALICE],
  approve: (id: string): Words => ['broadcast', 'approve', id, '--as', 'bob', '--yes'],
  release: (id: string): Words => ['broadcast', 'release', id, ...BY_ALICE],
} as const;

export interface Imported {
  readonly added: number;
}

export interface Created {
  readonly broadcast: string;
  readonly count: number;
  readonly rings: readonly { readonly count: number }[];
}

export interface Prepared {
  readonly manifestRoot: string;
  readonly count: number;
}

export interface Released {
  readonly kind: string;
  readonly progress: {
    readonly accepted: number;
    readonly sendingSeconds: number;
    readonly signingSeconds: number;
  };
}
