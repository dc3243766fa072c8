using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>A disk in a fixed VHD image: its bytes from the file's beginning, and a footer behind them that the guest cannot reach.</summary>
internal sealed class FixedVhdImage : IBlockImage
{
    private readonly RawImage _file;
    private readonly RawImageOptions _options;
    private VhdFooter _footer;

    private FixedVhdImage(RawImage file, RawImageOptions options, VhdFooter footer)
    {
        _file = file;
        _options = options;
        _footer = footer;
    }

    public ulong Size => _footer.Size & ~(ulong)(_file.LogicalBlockSize - 1);

    public bool IsReadOnly => _file.IsReadOnly;

    public bool CanDiscard => _file.CanDiscard;

    public uint LogicalBlockSize => _file.LogicalBlockSize;

    public uint PhysicalBlockSize => _file.PhysicalBlockSize;

    public byte AlignmentOffset => _file.AlignmentOffset;

    public ushort MinimumIoBlocks => _file.MinimumIoBlocks;

    public uint OptimalIoBlocks => _file.OptimalIoBlocks;

    public uint MemoryAlignment => _file.MemoryAlignment;

    /// <exception cref="BlockImageException">It cannot be opened, or is in use.</exception>
    public static FixedVhdImage Open(RawImageOptions options, VhdFooter footer) => new(RawImage.Open(options), options, footer);

    /// <summary>
    /// A footer ends the file at every moment, or the image would be none after the host's end: the new one is on stable storage before the old
    /// one becomes a part of the disk. A smaller disk would have to lose its data first, so there is none.
    /// </summary>
    public void Resize(ulong bytes)
    {
        if (IsReadOnly)
        {
            throw new BlockImageException($"disk {_options.Path} is open for reading only");
        }

        if (bytes == 0 || bytes % LogicalBlockSize != 0 || bytes > VhdSpec.MaxSize)
        {
            throw new BlockImageException(
                $"disk {_options.Path}: {bytes} bytes are not a multiple of its block size, {LogicalBlockSize}, up to {VhdSpec.MaxSize}, as a VHD image needs");
        }

        if (bytes == _footer.Size)
        {
            return;
        }

        if (bytes < _footer.Size)
        {
            throw new BlockImageException(
                $"disk {_options.Path}: a VHD image can be made larger, not smaller ({_footer.Size} bytes now, {bytes} asked for)");
        }

        try
        {
            Grow(bytes);
        }
        catch (LinuxException e)
        {
            throw new BlockImageException($"disk {_options.Path} cannot be given {bytes} bytes: {e.Message}", e);
        }
    }

    public IBlockQueue OpenQueue(int depth, string name) => _file.OpenQueue(depth, name);

    public void Read(ulong offset, Span<byte> buffer) => _file.Read(offset, buffer);

    public bool TryFindData(ulong offset, ulong end, out ulong start, out ulong length) => _file.TryFindData(offset, end, out start, out length);

    public void Flush() => _file.Flush();

    public void CopyTo(SafeFileHandle file) => _file.CopyTo(file);

    public void Unlock() => _file.Unlock();

    /// <summary>Takes the image again; who had it meanwhile may not have given it another size.</summary>
    public void Lock()
    {
        _file.Lock();
        VhdFooter footer = VhdImage.ReadFooter(_options.Path);
        if (footer.Type != VhdSpec.Fixed || footer.Size != _footer.Size)
        {
            throw VhdFooter.Wrong(_options.Path, "is another one than before");
        }

        _footer = footer;
    }

    public void Dispose() => _file.Dispose();

    private void Grow(ulong bytes)
    {
        using DiskFile file = HostDisk.OpenUnlocked(_options.Path, isReadOnly: false, isDirect: false);
        ulong old = file.Size;
        if (!file.IsRegularFile || old != _footer.Size + VhdSpec.FooterBytes)
        {
            throw VhdFooter.Wrong(_options.Path, "cannot be made larger: only files that have nothing between the disk and its footer can");
        }

        _file.LockUpTo(bytes + VhdSpec.FooterBytes);
        VhdFooter footer = _footer.WithSize(bytes);
        ReadOnlySpan<byte> zeroes = stackalloc byte[VhdSpec.FooterBytes];
        int result = file.WriteAll(bytes, footer.Bytes);
        result = result < 0 ? result : file.DataSync();
        result = result < 0 ? result : file.WriteAll(_footer.Size, zeroes);
        result = result < 0 ? result : file.DataSync();
        if (result < 0)
        {
            int restored = file.WriteAll(_footer.Size, _footer.Bytes);
            if (restored == 0)
            {
                file.SetSize(old);
            }

            throw new LinuxException(restored == 0 ? "write" : "write, and the footer is not what it was", -result);
        }

        _footer = footer;
    }
}
