"""The part of a notebook that its claims rest on: what only measures for the scoreboard or a figure is left out.

Half of a notebook's time goes into replays of the shop's traffic that no claim reads. A backward slice (M. Weiser,
"Program Slicing", ICSE 1981), cut to what takes long: a statement is left out when it measures, or reads what such a
statement gave, and no cell of a claim reads what it gives, however indirectly. Whatever else a cell does stays.

It is a guess, since a statement changes the bench beside the names it gives: `test_faults.py` tries, with nothing
broken, that every claim's cell comes out of the slice as it stands in the notebook.
"""

import ast
import copy
import symtable
from collections.abc import Iterable
from dataclasses import dataclass

from nbformat import NotebookNode

# What takes seconds, on the bench, on workers, on the virtual clock.
MEASURES = {"replay", "survey", "scoreboard", "rush", "load", "held_against", "simulate", "explore"}


@dataclass(eq=False)
class Statement:
    """A statement of a notebook, or one inside a `with` of its top level: the names it reads, gives, and calls."""

    node: ast.stmt
    claimed: bool  # it stands in a cell that is tagged with a claim
    reads: set[str]
    gives: set[str]
    calls: set[str]

    @property
    def defines(self) -> bool:
        """Whether it does nothing yet."""
        return isinstance(self.node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)


def sliced(cells: list[NotebookNode]) -> list[NotebookNode]:
    """The code cells that are left, as copies; one that lost a statement is no longer compared."""
    code = [(cell, ast.parse(cell.source).body) for cell in cells if cell.cell_type == "code"]
    out = left_out([statement(node, bool(claims_of(cell))) for cell, body in code for node in simple(body)])
    left = []
    for cell, body in code:
        before = len(list(simple(body)))
        body = without(body, out)
        if not body:
            continue
        kept = copy.deepcopy(cell)
        if len(list(simple(body))) < before:
            kept.source = "\n".join(ast.unparse(node) for node in body)
            kept.metadata["tags"] = [*kept.metadata.get("tags", []), "nbval-ignore-output"]
        left.append(kept)
    return left


def claims_of(cell: NotebookNode) -> set[str]:
    """The claims that rest on what this cell puts out."""
    return {tag.removeprefix("claim:") for tag in cell.metadata.get("tags", []) if tag.startswith("claim:")}


def left_out(statements: list[Statement]) -> set[ast.stmt]:
    """Those that measure, or read what these give, and that no claim needs."""
    functions = {each.node.name: each for each in statements if isinstance(each.node, ast.FunctionDef)}
    for each in statements:  # a function reads, when it is called, whatever its names are then
        while more := {name for read in each.reads & set(functions) for name in functions[read].reads} - each.reads:
            each.reads |= more
    slow = MEASURES | {name for name, each in functions.items() if each.calls & MEASURES}
    measured: set[str] = set()
    out = []
    for each in statements:
        if not each.defines and (each.calls & slow or each.reads & measured):
            out.append(each)
            measured |= each.gives
        else:
            measured -= each.gives
    needed: set[str] = set()
    for each in reversed(statements):
        if each.claimed or each not in out or each.gives & needed:
            if isinstance(each.node, ast.Assign) or each.defines:
                needed -= each.gives  # what an earlier statement gave under this name is not read any more
            needed |= each.reads
            out = [other for other in out if other is not each]
    return {each.node for each in out}


def simple(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    """The statements, those inside a `with` one by one."""
    for node in body:
        if isinstance(node, ast.With):
            yield from simple(node.body)
        else:
            yield node


def statement(node: ast.stmt, claimed: bool) -> Statement:
    """What is to be known of a statement. The variables of its functions and comprehensions are nobody else's."""
    table = symtable.symtable(ast.unparse(node), "a cell", "exec")
    reads = {each.get_name() for each in table.get_symbols() if each.is_referenced()}
    gives = {each.get_name() for each in table.get_symbols() if each.is_assigned() or each.is_imported()}
    inner = table.get_children()
    while inner:
        one = inner.pop()
        inner += one.get_children()
        reads |= {each.get_name() for each in one.get_symbols() if each.is_global() and each.is_referenced()}
    if isinstance(node, ast.AugAssign):
        reads |= gives
    elif isinstance(node, ast.For):  # it gives them before it reads them
        reads -= {each.id for each in ast.walk(node.target) if isinstance(each, ast.Name)}
    called = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    calls = {each.attr for each in called if isinstance(each, ast.Attribute)}
    calls |= {each.id for each in called if isinstance(each, ast.Name)}
    return Statement(node, claimed, reads, gives, calls)


def without(body: list[ast.stmt], out: set[ast.stmt]) -> list[ast.stmt]:
    """The statements but for those that are left out, and for a `with` that would be empty."""
    left: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.With):
            node.body = without(node.body, out)
            if node.body:
                left.append(node)
        elif node not in out:
            left.append(node)
    return left
