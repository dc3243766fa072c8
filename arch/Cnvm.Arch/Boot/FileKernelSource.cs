namespace Cnvm.Arch.Boot;

/// <summary>A file, read at any position.</summary>
internal sealed class FileKernelSource(IKernelFile file) : KernelSource(file.Name)
{
    public override long? Length => file.Length;

    protected override int Read(Span<byte> destination, long offset) => file.Read(destination, offset);
}
