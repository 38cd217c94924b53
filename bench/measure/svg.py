# SPDX-License-Identifier: Apache-2.0
"""Makes matplotlib's SVG small enough to be kept with the source. What is seen stays as it is."""

import re
from xml.etree import ElementTree

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def compact(text, title, stamp):
    """The SVG `text` in a third of the bytes, with a title for those who do not see it, and what it was made of as its description."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(text)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    _flatten(root)
    _share_styles(root)
    root.set("role", "img")
    for name, words in (("desc", stamp), ("title", title)):
        element = ElementTree.Element(f"{{{SVG}}}{name}")
        element.text = words
        root.insert(0, element)
    ElementTree.indent(root, "")
    return "<!-- SPDX-License-Identifier: Apache-2.0 -->\n" + ElementTree.tostring(root, encoding="unicode") + "\n"


def _share_styles(root):
    """Says each style once, as a class."""
    names = {}
    for element in root.iter():
        style = element.attrib.pop("style", None)
        if style:
            element.set("class", names.setdefault(style, f"s{len(names)}"))
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
        element.attrib.pop("clip-path", None)  # nothing is drawn outside of the axes
    sheet = next(root.iter(f"{{{SVG}}}style"))
    sheet.text += "".join(f"\n.{name}{{{style}}}" for style, name in names.items())


def _flatten(element):
    """Takes away what groups nothing, the names of groups, and in attributes white space and digits that no eye sees."""
    for name, value in element.attrib.items():
        value = re.sub(r"-?\d+\.\d{2,}", lambda match: f"{float(match.group()):.1f}".removesuffix(".0"), value)
        element.set(name, re.sub(r"\s+", " ", value).strip().replace(": ", ":").replace("; ", ";"))
    children = []
    for child in list(element):
        _flatten(child)
        if child.tag == f"{{{SVG}}}g":
            child.attrib.pop("id", None)
            if child.get("clip-path"):
                del child.attrib["clip-path"]
        children += list(child) if child.tag == f"{{{SVG}}}g" and not child.attrib else [child]
        element.remove(child)
    element.extend(children)
