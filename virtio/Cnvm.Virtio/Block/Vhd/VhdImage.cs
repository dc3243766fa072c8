using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Block.Vhd;

/// <summary>Opens VHD images of all kinds.</summary>
internal static class VhdImage
{
    /// <param name="isFixed">The disk's first sector is the file's.</param>
    /// <exception cref="BlockImageException">It cannot be opened, is not supported, damaged, or in use.</exception>
    public static IBlockImage Open(DiskImageOptions options, ILogger logger, out bool isFixed)
    {
        VhdFooter footer = ReadFooter(options.File.Path);

        isFixed = footer.Type == VhdSpec.Fixed;
        return isFixed ? FixedVhdImage.Open(options.File, footer)
            : BlockTableImage.OpenVhd(options, logger);
    }

    /// <summary>Whether a file may be a VHD image.</summary>
    /// <exception cref="BlockImageException">It cannot be read.</exception>
    public static bool IsLike(IImageFile file)
    {
        Span<byte> sector = stackalloc byte[VhdSpec.FooterBytes];
        return VhdFooter.HasCookie(ReadFirst(file, sector)) || VhdFooter.HasCookie(ReadLast(file, sector));
    }

    /// <inheritdoc cref="ReadFooter(IImageFile)"/>
    public static VhdFooter ReadFooter(string path)
    {
        using HostImageFile file = new(HostDisk.OpenUnlocked(path, isReadOnly: true, isDirect: false));
        return ReadFooter(file);
    }

    /// <summary>
    /// The footer that counts. A fixed image's last sector has it, and the first one is the guest's; a dynamic image's first sector has it,
    /// and the last one may be the guest's where the host died before it had written the footer anew. So a file that claims to be both is
    /// neither: whoever could write only one of the two sectors decides nothing.
    /// </summary>
    /// <exception cref="BlockImageException">It is damaged, or not supported.</exception>
    public static VhdFooter ReadFooter(IImageFile file)
    {
        Span<byte> first = stackalloc byte[VhdSpec.FooterBytes];
        Span<byte> last = stackalloc byte[VhdSpec.FooterBytes];
        ReadOnlySpan<byte> start = ReadFirst(file, first);
        VhdFooter footer = VhdFooter.Parse(file.Path, VhdFooter.HasCookie(ReadLast(file, last)) ? last : start);
        if (footer.Type == VhdSpec.Fixed)
        {
            ulong room = file.Size - VhdSpec.FooterBytes;
            return VhdFooter.HasCookie(start)
                ? throw VhdFooter.Wrong(file.Path, "begins like a dynamic one and ends like a fixed one: say image_type=raw if it is raw")
                : footer.Size > room
                ? throw VhdFooter.Wrong(file.Path, $"has a disk of {footer.Size} bytes, and the file has {room}: it is damaged, or was not copied whole")
                : footer;
        }

        footer = VhdFooter.Parse(file.Path, start);
        return footer.Type == VhdSpec.Dynamic ? footer
            : throw VhdFooter.Wrong(file.Path, "begins like a fixed one and ends like a dynamic one: it is damaged");
    }

    private static ReadOnlySpan<byte> ReadFirst(IImageFile file, Span<byte> sector) => Read(file, 0, sector);

    private static ReadOnlySpan<byte> ReadLast(IImageFile file, Span<byte> sector)
    {
        ulong size = file.Size;
        return size < 2 * VhdSpec.FooterBytes ? default : Read(file, size - VhdSpec.FooterBytes, sector);
    }

    private static ReadOnlySpan<byte> Read(IImageFile file, ulong offset, Span<byte> sector)
    {
        if (file.Size < offset + VhdSpec.FooterBytes)
        {
            return default;
        }

        int result = file.ReadAll(offset, sector);
        return result == 0 ? sector
            : throw new BlockImageException($"disk {file.Path} cannot be read: {new LinuxException("read", -result).Message}");
    }
}
