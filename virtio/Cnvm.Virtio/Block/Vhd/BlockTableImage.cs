using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>Opens VHDX images, and dynamic VHD images, as disks.</summary>
internal static class BlockTableImage
{
    /// <exception cref="BlockImageException">The image cannot be opened, is not supported, damaged, or in use.</exception>
    public static LayerImage OpenVhdx(DiskImageOptions options, ILogger logger) =>
        Open(options, static (file, isReadOnly) => VhdxTable.Load(file, isReadOnly), logger);

    /// <inheritdoc cref="OpenVhdx"/>
    public static LayerImage OpenVhd(DiskImageOptions options, ILogger logger) => options.File.IsDirect
        ? throw VhdFooter.Wrong(options.File.Path, "is a dynamic one, whose blocks may lie anywhere: direct=on is not supported")
        : Open(options, static (file, _) => VhdTable.Load(file), logger);

    private static LayerImage Open(DiskImageOptions options, Func<IImageFile, bool, IBlockTable> load, ILogger logger)
    {
        RawImageOptions file = options.File;
        DiskFile disk = HostDisk.Open(file, isDirect: false);
        HostImageFile main = new(disk);
        HostImageFile? data = null;
        try
        {
            if (!disk.IsRegularFile && !file.IsReadOnly)
            {
                throw new BlockImageException($"disk {file.Path} is a block device: images that grow are written in files only");
            }

            uint block = LayerImage.ProbeBlockSize(file);
            data = file.IsDirect ? new HostImageFile(HostDisk.OpenUnlocked(file.Path, file.IsReadOnly, isDirect: true)) : null;
            BlockTableLayer layer = new(
                main, data, () => load(main, file.IsReadOnly),
                new LayerOptions
                {
                    IsReadOnly = file.IsReadOnly,
                    GivesBack = file.IsSparse,
                    Unlock = disk.Unlock,
                    Relock = () => HostDisk.Lock(disk, file.IsReadOnly, file.LockWholeFile),
                },
                logger);
            return new LayerImage(layer, options, Math.Max(block, layer.SectorBytes), layer.PhysicalSectorBytes);
        }
        catch
        {
            data?.Dispose();
            main.Dispose();
            throw;
        }
    }
}
