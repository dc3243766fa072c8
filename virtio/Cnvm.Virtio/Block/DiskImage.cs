using System.Text;
using Cnvm.Linux;
using Cnvm.Virtio.Block.Qcow2;
using Cnvm.Virtio.Block.Vhd;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Block;

/// <summary>Opens disk images by their format.</summary>
public static class DiskImage
{
    /// <summary>Opens and locks an image.</summary>
    /// <param name="wasDetected">Nobody said what it is, and its first sector is the guest's. What that says must then not become the guest's to say.</param>
    /// <exception cref="BlockImageException">It cannot be opened, is of another or an unsupported format, is damaged, or is in use.</exception>
    public static IBlockImage Open(DiskImageOptions options, ILogger logger, out bool wasDetected)
    {
        ArgumentNullException.ThrowIfNull(options);
        wasDetected = false;
        if (options.Format == ImageFormat.Raw)
        {
            return RawImage.Open(options.File);
        }

        ImageFormat found = Identify(options);
        switch (found)
        {
            case ImageFormat.Raw:
                wasDetected = true;
                return RawImage.Open(options.File);
            case ImageFormat.FixedVhd:
                IBlockImage image = VhdImage.Open(options, logger, out bool isFixed);
                wasDetected = isFixed && options.Format == ImageFormat.Unknown;
                return image;
            case ImageFormat.Vhdx:
                return BlockTableImage.OpenVhdx(options, logger);
            case ImageFormat.Qcow2:
                return ImageChain.OpenImage(options, logger);
            default:
                throw new BlockImageException($"disk {options.File.Path} is {Name(found)}, which is not supported: convert it with qemu-img convert -O qcow2");
        }
    }

    /// <summary>
    /// Why an image cannot be opened as a disk that its guest knows already; null if nothing is seen that is in the way. It is looked at as by one who only
    /// reads: nothing is locked or written. Of a VHDX image that may be written and was not closed the format alone, since its log may bring more than is seen.
    /// </summary>
    /// <param name="sectors">What the guest was told of its size.</param>
    public static string? Obstacle(DiskImageOptions options, ulong sectors, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        RawImageOptions file = options.File;
        try
        {
            DiskFile disk = HostDisk.OpenUnlocked(file.Path, file.IsReadOnly, isDirect: false);
            using HostImageFile main = new(disk);
            HostDisk.ThrowIfLocked(disk, file.IsReadOnly, file.LockWholeFile);
            ImageFormat format = options.Format == ImageFormat.Raw ? ImageFormat.Raw : Identify(options);
            if (format == ImageFormat.Vhdx && !file.IsReadOnly && VhdxHeader.Read(main).LogGuid != Guid.Empty)
            {
                return null;
            }

            if (format == ImageFormat.Qcow2 && !file.IsReadOnly)
            {
                Qcow2Layer.ThrowIfUnwritable(file.Path, Qcow2Layer.ReadHeader(main));
            }

            using IBlockImage image = Open(options with { File = file with { IsReadOnly = true, IsUnlocked = true, DisableIoUring = true } }, logger, out _);
            ulong now = image.Size >> BlockSpec.SectorShift;
            return now == sectors ? null
                : $"disk {file.Path}: the disk had {sectors} sectors and has {now} now: give it its size of then, or restore with another image (disk_overrides)";
        }
        catch (Exception e) when (e is BlockImageException or IOException)
        {
            return e.Message;
        }
    }

    /// <summary>What a file looks like; raw if like nothing else.</summary>
    /// <exception cref="BlockImageException">It cannot be read.</exception>
    public static ImageFormat Detect(string path)
    {
        using HostImageFile file = new(HostDisk.OpenUnlocked(path, isReadOnly: true, isDirect: false));
        return Detect(file);
    }

    internal static ImageFormat Detect(IImageFile file)
    {
        Span<byte> sector = stackalloc byte[BlockSpec.SectorSize];
        int result = file.ReadAll(0, sector);
        if (result < 0)
        {
            throw new BlockImageException($"disk {file.Path} cannot be read: {new LinuxException("read", -result).Message}");
        }

        if (Qcow2Header.HasMagic(sector))
        {
            return ImageFormat.Qcow2;
        }

        if (sector.StartsWith(VhdxSpec.FileSignature))
        {
            return ImageFormat.Vhdx;
        }

        if (sector.StartsWith("KDMV"u8) || sector.StartsWith("# Disk DescriptorFile"u8))
        {
            return ImageFormat.FlatVmdk;
        }

        return VhdImage.IsLike(file) ? ImageFormat.FixedVhd : ImageFormat.Raw;
    }

    /// <exception cref="BlockImageException">It cannot be read, or is not what somebody says.</exception>
    private static ImageFormat Identify(DiskImageOptions options)
    {
        ImageFormat found = Find(options);
        return options.Format == ImageFormat.Unknown || options.Format == found
            ? found
            : throw new BlockImageException($"disk {options.File.Path} is {Name(found)}, and image_type says {Name(options.Format)}");
    }

    /// <summary>What a disk's file is, if it may be what somebody says.</summary>
    private static ImageFormat Find(DiskImageOptions options)
    {
        using HostImageFile file = new(HostDisk.OpenUnlocked(options.File.Path, isReadOnly: true, isDirect: false));

        // The first sector of what is called a VHD image may be the guest's, who may have made it look like anything.
        return options.Format == ImageFormat.FixedVhd && VhdImage.IsLike(file) ? ImageFormat.FixedVhd : Detect(file);
    }

    internal static string Name(ImageFormat format) => format switch
    {
        ImageFormat.Qcow2 => "a qcow2 image",
        ImageFormat.FixedVhd => "a VHD image",
        ImageFormat.Vhdx => "a VHDX image",
        ImageFormat.FlatVmdk => "a VMDK image",
        _ => "a raw image",
    };
}
