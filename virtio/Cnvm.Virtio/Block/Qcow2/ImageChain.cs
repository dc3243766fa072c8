using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>Opens a qcow2 image and what it builds on.</summary>
internal static class ImageChain
{
    /// <summary>Images in a chain, the disk's own among them.</summary>
    public const int MaxImages = 32;

    private const ulong MinDirectCluster = 4096;
    private const string FilePrefix = "file:";

    /// <exception cref="BlockImageException">The image or one that it builds on cannot be opened, is not supported, damaged, or in use.</exception>
    public static LayerImage OpenImage(DiskImageOptions options, ILogger logger)
    {
        Qcow2Layer layer = Open(options, logger);
        try
        {
            return new LayerImage(layer, options, LayerImage.ProbeBlockSize(options.File));
        }
        catch
        {
            layer.Dispose();
            throw;
        }
    }

    /// <exception cref="BlockImageException">One of the images cannot be opened, is not supported, damaged, or in use.</exception>
    private static Qcow2Layer Open(DiskImageOptions options, ILogger logger)
    {
        RawImageOptions file = options.File;
        List<(uint, uint, ulong)> seen = [];
        DiskFile disk = HostDisk.Open(file, isDirect: false);
        seen.Add(Identity(disk));
        return OpenLayer(disk, options, seen, logger);
    }

    private static (uint, uint, ulong) Identity(DiskFile file) => (file.DeviceMajor, file.DeviceMinor, file.Inode);

    /// <summary>Takes the file.</summary>
    private static Qcow2Layer OpenLayer(DiskFile disk, DiskImageOptions options, List<(uint, uint, ulong)> seen, ILogger logger)
    {
        RawImageOptions file = options.File;
        IBackingLayer? backing = null;
        HostImageFile? data = null;
        HostImageFile main = new(disk);
        try
        {
            Qcow2Header header = Qcow2Layer.ReadHeader(main);
            if (header.IsZstd && !Zstd.IsAvailable)
            {
                throw Qcow2Header.Wrong(disk.Path, "may have zstd clusters, and the host has no libzstd.so.1 (Debian: libzstd1)");
            }

            if (file.IsDirect && header.ClusterBytes < MinDirectCluster)
            {
                throw Qcow2Header.Wrong(disk.Path, $"has clusters of {header.ClusterBytes} bytes, and direct=on needs at least {MinDirectCluster}");
            }

            backing = header.BackingFile is null ? null : OpenBacking(disk.Path, header, options, seen, logger);
            data = file.IsDirect ? new HostImageFile(HostDisk.OpenUnlocked(file.Path, file.IsReadOnly, isDirect: true)) : null;
            return new Qcow2Layer(
                main, data, header, backing,
                new LayerOptions
                {
                    IsReadOnly = file.IsReadOnly,
                    GivesBack = file.IsSparse,
                    Unlock = disk.Unlock,
                    Relock = () => HostDisk.Lock(disk, file.IsReadOnly, file.LockWholeFile),
                },
                logger);
        }
        catch
        {
            data?.Dispose();
            backing?.Dispose();
            main.Dispose();
            throw;
        }
    }

    private static IBackingLayer OpenBacking(
        string path, Qcow2Header header, DiskImageOptions options, List<(uint, uint, ulong)> seen, ILogger logger)
    {
        string name = header.BackingFile!;
        if (!options.AllowBackingFiles)
        {
            throw Qcow2Header.Wrong(path, $"builds on {name}; backing_files=on allows that");
        }

        if (seen.Count == MaxImages)
        {
            throw Qcow2Header.Wrong(path, $"is the {MaxImages}th of a chain, and builds on {name}: {MaxImages} is the limit (qemu-img rebase makes it shorter)");
        }

        RawImageOptions file = new() { Path = Locate(path, name), IsReadOnly = true, IsUnlocked = options.File.IsUnlocked };
        DiskFile disk = HostDisk.Open(file, isDirect: false);
        try
        {
            if (seen.Contains(Identity(disk)))
            {
                throw Qcow2Header.Wrong(path, $"builds on {name}, which builds on it: the chain is a loop");
            }

            seen.Add(Identity(disk));
            ImageFormat format = Format(path, header, disk);
            if (format == ImageFormat.Raw)
            {
                DiskFile raw = disk;
                return new RawLayer(new HostImageFile(raw), raw.Unlock, () => HostDisk.Lock(raw, isReadOnly: true, wholeFile: false));
            }
        }
        catch
        {
            disk.Dispose();
            throw;
        }

        // Without a word about its format, an image may only be what it looks like, not lead to further files: whoever wrote a raw disk
        // chooses what it looks like.
        return OpenLayer(disk, options with { File = file, AllowBackingFiles = header.BackingFormat is not null }, seen, logger);
    }

    private static ImageFormat Format(string path, Qcow2Header header, DiskFile backing)
    {
        ImageFormat found = DiskImage.Detect(new HostImageFile(backing));
        switch (header.BackingFormat)
        {
            case "raw":
                return ImageFormat.Raw;
            case "qcow2" when found == ImageFormat.Qcow2:
            case null when found is ImageFormat.Qcow2 or ImageFormat.Raw:
                return found;
            case "qcow2" or null:
                throw Qcow2Header.Wrong(path, $"builds on {backing.Path}, which is {DiskImage.Name(found)}");
            default:
                throw Qcow2Header.Wrong(path, $"builds on {backing.Path} in a format that is not supported (raw and qcow2 are)");
        }
    }

    /// <summary>The file that a name in an image means: names are relative to the folder of the image.</summary>
    public static string Locate(string image, string name)
    {
        string path = name.StartsWith(FilePrefix, StringComparison.Ordinal) ? name[FilePrefix.Length..] : name;
        int colon = path.IndexOf(':', StringComparison.Ordinal);
        int slash = path.IndexOf('/', StringComparison.Ordinal);
        if (colon >= 0 && (slash < 0 || colon < slash))
        {
            throw Qcow2Header.Wrong(image, $"builds on {name}: only files are supported, not protocols or JSON");
        }

        return Path.Combine(Path.GetDirectoryName(Path.GetFullPath(image)) ?? "/", path);
    }
}
