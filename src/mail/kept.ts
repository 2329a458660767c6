/**
 * Remembers what a pure function made of short texts: most header lines of one broadcast are the same in every message.
 *
 * Invariants: never more than a fixed number of short texts is kept, and what is kept is a copy: a piece of a message would keep
 * the whole message in memory.
 */

const KEPT_MAX = 256;
const LENGTH_MAX = 320;

/** `make`, which gives the same for the same text and never changes what it gave, with its latest results kept. */
export function kept<Value>(make: (text: string) => Value): (text: string) => Value {
  const values = new Map<string, Value>();
  return (text) => {
    const before = values.get(text);
    if (before !== undefined || text.length > LENGTH_MAX) return before ?? make(text);
    if (values.size >= KEPT_MAX) values.clear();
    const own = copyOf(text);
    const value = make(own);
    values.set(own, value);
    return value;
  };
}

/** A slice refers to the string it was cut from; one cut from a new string of its own length does so no longer. */
export function copyOf(text: string): string {
  return ` ${text}`.slice(1);
}
