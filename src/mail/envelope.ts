/** The SMTP envelope (RFC 5321 section 2.3.1), apart from the header: who it is from, and who will get it. */

export interface Envelope {
  /** MAIL FROM without angle brackets; '' is the null reverse-path. */
  readonly from: string;
  /** RCPT TO without angle brackets, in the order given. */
  readonly recipients: readonly string[];
  /** Whether SMTPUTF8 (RFC 6531) was asked for. */
  readonly smtpUtf8: boolean;
}
