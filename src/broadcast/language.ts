/** Which of a notice's languages a customer is written to in (BCP 47, RFC 4647 lookup). */

const RTL_SCRIPTS = new Set(['Arab', 'Hebr', 'Thaa', 'Syrc', 'Nkoo', 'Adlm', 'Rohg']);

export interface LanguageChoice {
  readonly language: string;
  /** Whether the wanted language was not among those offered. */
  readonly fallback: boolean;
}

function maximised(tag: string): Intl.Locale | null {
  try {
    return new Intl.Locale(tag).maximize();
  } catch {
    return null;
  }
}

/** zh-Hant-TW finds zh-Hant, then zh; then the same language and script written otherwise (zh-CN finds zh-Hans); then the default. */
export function chooseLanguage(
  wanted: string,
  offered: readonly string[],
  defaultLanguage: string,
): LanguageChoice {
  const byLower = new Map(offered.map((tag) => [tag.toLowerCase(), tag]));
  for (let tag = wanted.toLowerCase(); tag !== ''; tag = tag.slice(0, tag.lastIndexOf('-'))) {
    const found = byLower.get(tag);
    if (found !== undefined) return { language: found, fallback: false };
    if (!tag.includes('-')) break;
  }
  const locale = maximised(wanted);
  for (const tag of offered) {
    const candidate = maximised(tag);
    if (locale !== null && candidate?.language === locale.language)
      if (candidate.script === locale.script) return { language: tag, fallback: false };
  }
  return { language: defaultLanguage, fallback: true };
}

export function direction(language: string): 'ltr' | 'rtl' {
  return RTL_SCRIPTS.has(maximised(language)?.script ?? '') ? 'rtl' : 'ltr';
}
