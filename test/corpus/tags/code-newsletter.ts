/** Honest paragraphs of newsletters about programming: code in them, and no placeholder. */

export interface Paragraph {
  readonly html: boolean;
  readonly content: string;
}

const TOPICS = [
  'templates',
  'shells',
  'queries',
  'macros',
  'patterns',
  'parsers',
  'builds',
  'closures',
  'regions',
  'tests',
];

/** Code that looks like a placeholder, as authors mark it. */
const CODE = [
  '{{ user.name }}',
  '{{#each items}}',
  '${HOME}/bin',
  '`${a}-${b}`',
  '#{name}',
  '<%= link_to %>',
  '%%timeit%%',
  '*|FNAME|*',
  '[[ -f file ]]',
  '{% block body %}',
  'std::vector<int>::iterator',
  '{name}',
  '%PATH%',
  '__init__',
  '@@version',
  'printf("%s", name)',
  'undefined',
  'null',
  'NaN !== NaN',
  '[object Object]',
  '$name$',
  '{0}',
  '##header##',
  '<<EOF',
];

/** Plain sentences with the marks of code in them, none of which is a field. */
const PROSE = [
  'We compare a[i] with a[j], and f(x) with g(x): the array[name] form is older than you think.',
  'The method __init__ is called by Python itself, __main__ is not a function and __FILE__ is a macro.',
  'C++ has std::string::npos, Rust has Vec::new and Ruby has Foo::Bar::BAZ; all read much the same.',
  'Since undefined is not null, and NaN is not itself, === is what you want in JavaScript.',
  'Set %PATH% on Windows or $PATH elsewhere, then run make -j8 --no-print-directory.',
  'Issue #42 is closed, #43 is next, and the price stays at $10 (or 10€) until 50% of you complain.',
  'The well-known e-mail-address pattern, with its look-ahead, is 6,000 characters long.',
  'Our survey: 40% tabs, 59% spaces, 1% both. The <b> tag is older than {} and [].',
  'In a set {a, b, c} order does not matter; in a list [a, b, c] it does. {1, 2} is a set too.',
  'Dear reader, this issue is about nulls: none of them is an error, and None is not one either.',
  'Use {} for an object, [] for a list, () for neither; a*b*c needs none of them.',
  'Write to us @ the usual place: @alice and @bob read everything -- really -- everything.',
  'The -name option of find(1) is common: -name "*.ts", and -type f too.',
  'The notation <<interface>> in UML and the heredoc <<EOF in the shell have nothing in common.',
  'A JSON text like {"name": "Ann", "id": 7} has quotes around every name.',
  'Shell: for f in *.txt; do echo $f; done. Make: $@ and $< and $(CC). Perl: @_ and $_.',
  'LaTeX writes $x$ and $n$ for mathematics, Markdown writes *name* and _name_.',
  'CSS: a{color:red} b{margin:0} and, in Sass, &:hover{...}. Nothing here is to be filled in.',
  'It costs $5, $7 or $9; 3%, 5% or 8% off. Half of it [sic] is true [1][2].',
  'Wikis link with [[Main Page]] or [[Help:Contents|help]], as you know.',
  'On Windows look into %APPDATA% and %TEMP%; a batch file has %1 and %~dp0.',
  'React wants style={a} with braces, Vue writes v-bind and :name.',
  'A hash is {a: 1, b: 2}, a format is {a|b|c}, and a glob is *.{js,ts}.',
  'In TeX \\text{ABC} and \\frac{a}{b} are what they are; {x : x > 0} is a set.',
  'We saw [PATCH v2 1/3], [ANN], [OT] and [RFC] in subjects, and #if in a header file.',
  'Type @if or @end in Doxygen, @param in Javadoc, and @media in CSS.',
  'RPM has %{_libdir} and %{buildroot}, make has $(DESTDIR), and the shell has $HOME and $!.',
  'It is ~30% faster, ~/bin comes first, and ~Foo is a destructor.',
  'The C function takes %d and %s; the time format takes %Y-%m-%d.',
  'Between << and >> bits move; a << b in C++ also prints, and <- assigns in R.',
  'The answer was 42!{ footnote }, said the #1 of ### headings.',
  'Is undefined a value? In the strict sense, null is one and NaN is a number.',
  'Hey! Hi there, and hello again. Dear all, thank you, and welcome to no. 12.',
  'We link to [the manual][1], to [GitHub](https://github.example), and to nothing [].',
  'SQL has :name and ?, PHP has $name in strings, and C# has a $ before them.',
  'Prices: USD 5, 7 EUR, NaN if you ask JavaScript; 100 % cotton, 50 %-off, 5 % down.',
  'Version {major}.{minor} is out; see {@link Foo} and {@code bar} in the notes.',
  'The regular expression ^[a-z_]{2,8}$ has braces, [[:alpha:]] has brackets.',
  'Les guillemets « comme ceci » sont français; »so« sind deutsche.',
  'The URL has ?q=null+pointer and #undefined-behaviour in it.',
];

/** Paragraphs: each piece of code in each of the ways that mark it, and each sentence of prose with a topic. */
export function codeNewsletter(): readonly Paragraph[] {
  const paragraphs: Paragraph[] = [];
  for (const [number, topic] of TOPICS.entries()) {
    for (const code of CODE) {
      const escaped = code.replaceAll('<', '&lt;').replaceAll('>', '&gt;');
      paragraphs.push(
        {
          html: false,
          content: `About ${topic}: write \`${code.replaceAll('`', '')}\` and be done.\n`,
        },
        {
          html: false,
          content: `About ${topic}:\n\n${block(code, number % 2 === 0)}\n\nThat is all.\n`,
        },
        {
          html: true,
          content: `<p>About ${topic}: write <code>${escaped}</code> and be done.</p>`,
        },
      );
    }
    for (const [index, prose] of PROSE.entries()) {
      const escaped = prose.replaceAll('<', '&lt;').replaceAll('>', '&gt;');
      paragraphs.push({ html: false, content: `About ${topic}. ${prose}\n` });
      if (index % 2 === 0)
        paragraphs.push({ html: true, content: `<p>About ${topic}. ${escaped}</p>` });
    }
  }
  return paragraphs;
}

/** Indented, or in a fence. */
function block(code: string, fenced: boolean): string {
  return fenced ? `\`\`\`\n${code.replaceAll('`', '')}\n\`\`\`` : `    ${code}`;
}
