import ts from 'typescript'

/** One change of one file, by which the code means something else. */
export interface Mutation {
  readonly file: string
  /** The file as a whole, changed. */
  readonly text: string
  /** The method, function or constant that it is in. */
  readonly member: string
  /** The lines that it changes, before and after, in one line each. */
  readonly before: string
  readonly after: string
}

/** What stands in place of a piece of the code. */
interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
  /** The same in short, where the compiler needs more words. */
  readonly shown?: string
}

/** By what a mutation is known when lines above it come and go. */
export function keyOf({ file, member, before, after }: Omit<Mutation, 'text'>): string {
  return [file, member, before, after].join('\n')
}

/** Every mutation of a file, once. Some of them the compiler would refuse. */
export function mutationsOf(file: string, source: string): Mutation[] {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true)
  const mutations = new Map<string, Mutation>()
  const visit = (node: ts.Node, member: string): void => {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isImportDeclaration(node)) return
    const inside = memberOf(node) ?? member
    for (const edit of editsOf(node)) {
      const text = source.slice(0, edit.start) + edit.text + source.slice(edit.end)
      const before = oneLine(source, edit.start, edit.end)
      const { start, end, shown = edit.text } = edit
      const after = oneLine(source.slice(0, start) + shown + source.slice(end), start, start + shown.length)
      if (!mutations.has(text)) mutations.set(text, { file, text, member: inside, before, after })
    }
    ts.forEachChild(node, child => visit(child, inside))
  }
  visit(tree, '')
  const met = new Map<string, number>()
  return [...mutations.values()].map(mutation => {
    const key = keyOf(mutation)
    const times = (met.get(key) ?? 0) + 1
    met.set(key, times)
    return times === 1 ? mutation : { ...mutation, member: `${mutation.member}, ${times}` }
  })
}

function memberOf(node: ts.Node): string | undefined {
  if (ts.isConstructorDeclaration(node)) return 'constructor'
  const named =
    ts.isMethodDeclaration(node) ||
    ts.isAccessor(node) ||
    ts.isPropertyDeclaration(node) ||
    ts.isFunctionDeclaration(node) ||
    (ts.isVariableDeclaration(node) && ts.isSourceFile(node.parent.parent.parent))
  return named ? node.name?.getText() : undefined
}

function oneLine(text: string, start: number, end: number): string {
  const from = text.lastIndexOf('\n', start - 1) + 1
  const to = text.indexOf('\n', end)
  return text
    .slice(from, to === -1 ? undefined : to)
    .replace(/\s+/g, ' ')
    .trim()
}

/** What may stand in place of an operator. */
const OPERATORS: Partial<Record<ts.SyntaxKind, readonly string[]>> = {
  [ts.SyntaxKind.LessThanToken]: ['<=', '>='],
  [ts.SyntaxKind.LessThanEqualsToken]: ['<', '>'],
  [ts.SyntaxKind.GreaterThanToken]: ['>=', '<='],
  [ts.SyntaxKind.GreaterThanEqualsToken]: ['>', '<'],
  [ts.SyntaxKind.EqualsEqualsEqualsToken]: ['!=='],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken]: ['==='],
  [ts.SyntaxKind.PlusToken]: ['-'],
  [ts.SyntaxKind.MinusToken]: ['+'],
  [ts.SyntaxKind.AsteriskToken]: ['/'],
  [ts.SyntaxKind.SlashToken]: ['*'],
  [ts.SyntaxKind.PlusEqualsToken]: ['-='],
  [ts.SyntaxKind.MinusEqualsToken]: ['+='],
  [ts.SyntaxKind.AmpersandAmpersandToken]: ['||'],
  [ts.SyntaxKind.BarBarToken]: ['&&'],
  [ts.SyntaxKind.QuestionQuestionToken]: ['&&'],
}

/** What may stand in place of a method. */
const METHODS: Record<string, string> = { every: 'some', some: 'every', min: 'max', max: 'min' }

function editsOf(node: ts.Node): Edit[] {
  const replace = (old: ts.Node, ...texts: string[]): Edit[] =>
    texts.map(text => ({ start: old.getStart(), end: old.getEnd(), text }))
  if (ts.isIfStatement(node) || ts.isWhileStatement(node)) return conditionsOf(node.expression)
  if (ts.isConditionalExpression(node)) return conditionsOf(node.condition)
  if (ts.isBinaryExpression(node)) {
    const { left, operatorToken: operator, right } = node
    const others = replace(operator, ...(OPERATORS[operator.kind] ?? []))
    return isLogical(node) ? [...others, ...replace(node, left.getText(), right.getText())] : others
  }
  if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
    const { operand, operator } = node
    if (operator === ts.SyntaxKind.ExclamationToken) return replace(node, operand.getText())
    const isPrefix = ts.isPrefixUnaryExpression(node)
    if (operator === ts.SyntaxKind.PlusPlusToken)
      return replace(node, isPrefix ? `--${operand.getText()}` : `${operand.getText()}--`)
    if (operator === ts.SyntaxKind.MinusMinusToken)
      return replace(node, isPrefix ? `++${operand.getText()}` : `${operand.getText()}++`)
    return []
  }
  if (ts.isNumericLiteral(node)) {
    return replace(
      node,
      ...(node.text === '0' ? ['1'] : ['0', String(2 * Number(node.text.replaceAll('_', '')))]),
    )
  }
  if (node.kind === ts.SyntaxKind.TrueKeyword) return replace(node, 'false')
  if (node.kind === ts.SyntaxKind.FalseKeyword) return replace(node, 'true')
  if (ts.isPropertyAccessExpression(node) && ts.isCallExpression(node.parent)) {
    return replace(node.name, ...[METHODS[node.name.text]].filter(name => name !== undefined))
  }
  if (ts.isExpressionStatement(node))
    return replace(node, ts.isBlock(node.parent) || ts.isSourceFile(node.parent) ? '' : '{}')
  if (ts.isReturnStatement(node) && node.expression) return resultsOf(node.expression)
  if (ts.isArrowFunction(node) && !ts.isBlock(node.body))
    return replace(node.body, ...(ts.isCallExpression(node.body) ? ['undefined'] : ['undefined', 'true']))
  return []
}

function conditionsOf(condition: ts.Expression): Edit[] {
  const at = { start: condition.getStart(), end: condition.getEnd() }
  const code = condition.getText()
  // The condition stays, so that the compiler draws the same conclusions from it.
  const constants = [
    { ...at, text: `(${code}) || (true as boolean)`, shown: 'true' },
    { ...at, text: `(${code}) && (false as boolean)`, shown: 'false' },
  ]
  // Of comparisons and negations the operators are replaced.
  if (ts.isPrefixUnaryExpression(condition) || (ts.isBinaryExpression(condition) && !isLogical(condition)))
    return constants
  return [...constants, { ...at, text: `!(${code})` }]
}

/** Whatever else could be given back: the compiler refuses what does not fit. */
function resultsOf(result: ts.Expression): Edit[] {
  return ['undefined', 'true', 'false', '0', "''", '[]']
    .filter(text => text !== result.getText())
    .map(text => ({ start: result.getStart(), end: result.getEnd(), text }))
}

function isLogical({ operatorToken: { kind } }: ts.BinaryExpression): boolean {
  return (
    kind === ts.SyntaxKind.AmpersandAmpersandToken ||
    kind === ts.SyntaxKind.BarBarToken ||
    kind === ts.SyntaxKind.QuestionQuestionToken
  )
}
