"""Make the graph of a torch.export archive (``models/*.json``) safe to hand to torch.

torch evaluates parts of this JSON: symbolic expressions pass through ``eval`` (sympy.sympify), names
become generated Python source, targets are looked up with ``getattr`` from the torch module and later
called, tree specs import modules, guards are compiled. So every string is held against a rule for
its key, what is not needed is dropped, and only the result is ever given to torch.
"""

from __future__ import annotations

import ast
import json
import keyword
import re
from collections.abc import Callable
from typing import Any

from edgegate.errors import FileError, UnsafeError
from edgegate.frontend import _files, _names

Json = Any

_PLAIN = re.compile(r"[\w.+\-<=:/ ]{0,512}", re.ASCII)
_OPERAND = re.compile(r"[\w .,>+\-]{0,256}", re.ASCII)  # "floor", "tanh", an einsum equation
_STACK = re.compile(r"[\w.,;@\[\]()'<> \-]{0,8192}", re.ASCII)
_TARGET = re.compile(
    r"torch\.ops\.(aten|prims)\.(?!from_file\b)\w+\.\w+"
    r"|torch\.ops\.edgegate\.(lut|group_sum|threshold|stage_gate)\.default"
    r"|torch\.ops\.higher_order\.(cond|scan|while_loop|wrap_with_set_grad_enabled)"
    r"|torch\.sym_(float|int|max|min|not|ite|sum)"
    r"|math\.(ceil|floor|trunc)"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)",
    re.ASCII,
)
_ASSERTION = "Runtime assertion failed for expression "
_TREES = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")

_NUMBERS = ("Integer", "Float", "Rational")
_FUNCTIONS = frozenset(
    [
        "Add",
        "Mul",
        "Pow",
        "Max",
        "Min",
        "Mod",
        "Eq",
        "Ne",
        "Equality",
        "Unequality",
        "Lt",
        "Le",
        "Gt",
        "Ge",
        "StrictLessThan",
        "LessThan",
        "StrictGreaterThan",
        "GreaterThan",
        "And",
        "Or",
        "Not",
        "FloorDiv",
        "CeilDiv",
        "CleanDiv",
        "ModularIndexing",
        "PythonMod",
        "IntTrueDiv",
        "FloatTrueDiv",
        "ToFloat",
        "TruncToInt",
        "FloorToInt",
        "CeilToInt",
        "RoundToInt",
        "Identity",
    ]
)
_WORDS = ("true", "false", "True", "False", "int_oo", "oo")
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{0,40})?(e[+-]?\d{1,3})?", re.ASCII)
_SYMBOL = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)


def checked(data: bytes, name: str) -> bytes:
    """The program ``data`` without anything that torch could be made to run, as JSON.

    Raises:
        UnsafeError: A string that could become code, an operator outside torch's own tensor
            operators, a custom object, or JSON nested too deeply.
        FileError: Not JSON.
    """
    try:
        program = json.loads(data)
        if not isinstance(program, dict) or not isinstance(program.get("graph_module"), dict):
            raise FileError(f"{name}: holds no exported program")
        program["guards_code"] = []  # Python source; the batch is fixed here, guards say nothing new
        program["graph_module"]["metadata"] = {}
        return json.dumps(_clean(program, "", name)).encode()
    except RecursionError:
        raise UnsafeError(f"{name}: the exported program is nested too deeply") from None
    except ValueError as error:
        raise FileError(f"{name}: the exported program is damaged ({_files.printable(error)})") from None


def _clean(value: Json, key: str, name: str) -> Json:
    """``value`` under ``key``, every string checked, devices moved to the CPU."""
    if isinstance(value, str):
        return _text(value, key, name)
    if isinstance(value, list):
        return [_clean(v, key, name) for v in value]
    if not isinstance(value, dict):
        return value
    if key == "metadata":
        return _metadata(value)
    if key in ("device", "as_device"):
        return {"type": "cpu", "index": None}
    return {_key(k, v, name): _clean(v, k, name) for k, v in value.items()}


def _key(key: str, value: Json, name: str) -> str:
    if key in ("as_custom_obj", "custom_obj", "custom_obj_values") and value:
        raise UnsafeError(f"{name}: the exported program holds a custom object; {_files.WAY_OUT}")
    if not _PLAIN.fullmatch(key):
        raise _refusal(name, "name", key)
    return key


def _text(text: str, key: str, name: str) -> str:
    if key == "as_string" and text.startswith(_ASSERTION):
        return ""  # what torch would say where the program's own check fails
    if not _RULES.get(key, _is_plain)(text):
        raise _refusal(name, _KINDS.get(key, "name"), text)
    return text


def _refusal(name: str, what: str, text: str) -> UnsafeError:
    shown = _files.printable(repr(text), 80)
    return UnsafeError(f"{name}: unsafe {what} {shown} in the exported program")


def _metadata(entries: dict[str, Json]) -> dict[str, str]:
    """The user's source line and the module stack of a node, rebuilt from checked pieces."""
    kept = {}
    found = _names.frame(str(entries.get("stack_trace", "")))
    if found is not None:
        kept["stack_trace"] = 'File "{}", line {}, in forward\n    {}'.format(*found)
    stack = str(entries.get("nn_module_stack", ""))
    if stack and _STACK.fullmatch(stack):
        kept["nn_module_stack"] = stack
    return kept


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None


def _is_name(text: str) -> bool:
    """A name that torch writes into generated Python source, or a dotted one that it looks up."""
    return _is_plain(text) and not set(text) & set("+-<=:/ ") and not keyword.iskeyword(text)


def _is_argument_name(text: str) -> bool:
    return text == "" or (_is_plain(text) and text.isidentifier())


def _is_target(text: str) -> bool:
    return _TARGET.fullmatch(text) is not None


def _is_operand(text: str) -> bool:
    return _OPERAND.fullmatch(text) is not None


def _is_tree(text: str) -> bool:
    """A tree spec of tuples, lists and dicts: torch imports the module of any other type."""
    try:
        protocol, tree = json.loads(text)
    except (ValueError, TypeError):
        return False
    return protocol == 1 and _is_tree_node(tree)


def _is_tree_node(tree: Json) -> bool:
    if not isinstance(tree, dict) or set(tree) != {"type", "context", "children_spec"}:
        return False
    context = tree["context"]
    keys = json.loads(context) if isinstance(context, str) else context
    plain = keys is None or (isinstance(keys, list) and all(isinstance(k, (str, int)) for k in keys))
    children = tree["children_spec"]
    return tree["type"] in _TREES and plain and isinstance(children, list) and all(map(_is_tree_node, children))


def _is_expression(text: str) -> bool:
    """A symbolic size such as ``Mul(Integer(2), Symbol('s77', integer=True))``; torch evaluates it."""
    if len(text) > 4096:
        return False
    try:
        return _is_term(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, MemoryError):
        return False


def _is_term(term: ast.expr) -> bool:
    match term:
        case ast.Constant(value=bool() | None):
            return True
        case ast.Constant(value=int() | float() as number):
            return abs(number) < 1 << 62
        case ast.Name(id=word):
            return word in _WORDS or (_SYMBOL.fullmatch(word) is not None and word[0] in "su" and word[1:].isdigit())
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _is_term(operand)
        case ast.Call(func=ast.Name(id=function), args=args, keywords=keywords):
            return all(_is_flag(k) for k in keywords) and _is_call(function, args)
    return False


def _is_flag(flag: ast.keyword) -> bool:
    return flag.arg is not None and isinstance(flag.value, ast.Constant) and not isinstance(flag.value.value, str)


def _is_call(function: str, args: list[ast.expr]) -> bool:
    match function, args:
        case "Symbol", [ast.Constant(value=str() as symbol)]:
            return _SYMBOL.fullmatch(symbol) is not None
        case "Pow", [base, ast.Call(func=ast.Name(id="Integer"), args=[exponent])]:
            # 9**9**9 takes forever: the exponent is a small number or the expression is refused
            return _is_term(base) and ast.unparse(exponent) in ("-1", "2", "3", "4")
        case _, [*numbers] if function in _NUMBERS:
            return all(_NUMBER.fullmatch(ast.unparse(n).strip("'")) for n in numbers)
    return function in _FUNCTIONS and function != "Pow" and all(map(_is_term, args))


_RULES: dict[str, Callable[[str], bool]] = {
    "expr_str": _is_expression,
    "target": _is_target,
    "as_operator": _is_target,
    "in_spec": _is_tree,
    "out_spec": _is_tree,
    "as_string": _is_operand,
    "as_strings": _is_operand,
    "name": _is_name,
    "as_name": _is_name,
    "forward_arg_names": _is_argument_name,
}
_KINDS = {
    "expr_str": "expression",
    "target": "operator",
    "as_operator": "operator",
    "in_spec": "tree type",
    "out_spec": "tree type",
    "as_string": "operand",
}
