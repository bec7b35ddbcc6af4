import ts from 'typescript'

export interface Import {
  specifier: string
  /** Gone once compiled; it still couples the two files. */
  typeOnly: boolean
}

/** Everything a module imports or re-exports from elsewhere, dynamic imports and `import('x').Y` types included. */
export function readImports(source: ts.SourceFile): Import[] {
  const found: Import[] = []
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node)
    if (specifier !== undefined) found.push({ specifier, typeOnly: isTypeOnly(node) })
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

function specifierOf(node: ts.Node): string | undefined {
  let literal: ts.Node | undefined
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) literal = node.moduleSpecifier
  else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) literal = node.argument.literal
  else if (ts.isExternalModuleReference(node)) literal = node.expression
  else if (ts.isModuleDeclaration(node)) literal = node.name
  else if (ts.isCallExpression(node) && isLoad(node.expression)) literal = node.arguments[0]
  return literal && ts.isStringLiteralLike(literal) ? literal.text : undefined
}

function isLoad(callee: ts.Expression): boolean {
  return callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require')
}

function isTypeOnly(node: ts.Node): boolean {
  if (ts.isImportTypeNode(node) || ts.isModuleDeclaration(node)) return true
  if (ts.isExportDeclaration(node)) {
    if (node.isTypeOnly) return true
    return !!node.exportClause && ts.isNamedExports(node.exportClause) && allTypes(node.exportClause.elements)
  }
  if (!ts.isImportDeclaration(node) || !node.importClause) return false
  if (node.importClause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true
  const named = node.importClause.namedBindings
  return !node.importClause.name && !!named && ts.isNamedImports(named) && allTypes(named.elements)
}

function allTypes(elements: readonly { isTypeOnly: boolean }[]): boolean {
  return elements.length > 0 && elements.every(element => element.isTypeOnly)
}
