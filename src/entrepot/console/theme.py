"""The one theme: colours, type, spacing; the rules themselves are in theme.css."""

from pathlib import Path

FONT = "'Inter','Noto Sans','Noto Sans SC','Noto Sans CJK SC','PingFang SC','Microsoft YaHei',system-ui,sans-serif"
INK, TEAL, AMBER, RED, GREEN, BLUE, MUTED = "#14212b", "#0f766e", "#b45309", "#b42318", "#15803d", "#1d4ed8", "#5b6b78"
CSS = Path(__file__).with_name("theme.css").read_text(encoding="utf-8").replace("FONT", FONT)
