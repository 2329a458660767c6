/** How findings call a header field. A name that is none may hold anything, an address too, and is not repeated. */

import type { HeaderField } from '../mail/header.ts';

/** 'header Cc', or 'header field with a malformed name'. */
export function headerLabel(field: HeaderField): string {
  return /^[A-Za-z0-9_.-]{1,64}$/.test(field.name)
    ? `header ${field.name}`
    : 'header field with a malformed name';
}
