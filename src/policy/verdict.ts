/** What happens to a message. Anything but `pass` carries at least one reason. */

import type { ReasonId } from './reasons.ts';

export type Verdict =
  | {
      readonly kind: 'pass';
      /** Sentences without addresses: why something shown beside the reader was allowed. */
      readonly allowedBecause: readonly string[];
    }
  | {
      readonly kind: 'split' | 'hold' | 'refuse' | 'defer';
      readonly reasons: readonly ReasonId[];
    };

export type VerdictKind = Verdict['kind'];
