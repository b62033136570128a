"""What the kernel's documents bring to the registry."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="documents",
    title=("Documents", "文件"),
    summary="Content-addressed files, read by those who may see what they are about",
    operations=("entrepot.kernel.documents.operations",),
    tables=("entrepot.kernel.documents.tables",),
)
