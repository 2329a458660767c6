/** A door mail comes in by. Whatever the door, what comes in goes through one check, and nothing that check did not pass goes on. */

export interface Gate {
  /** What people call it in settings, logs and the ledger: 'smtp-relay'. */
  readonly name: string;
  /** Where it listens, for people: 'smtp://127.0.0.1:2525'. */
  readonly address: string;
  /** Takes nothing new, lets what is under way come to its end. */
  close(): Promise<void>;
}
