/** What stands for an end of content or of a line elsewhere: CVE-2023-51764, 51765, 51766, and what public scanners try. */

export const FALSE_ENDINGS = [
  '\n.\n',
  '\n.\r\n',
  '\r\n.\n',
  '\r.\r',
  '\r\n.\r',
  '\r.\r\n',
  '\r\n\0.\r\n',
  '\r\r\n.\r\r\n',
  '\n\n.\n\n',
  '\r\n.\r\r\n',
  '\r\n.\0\r\n',
] as const;
