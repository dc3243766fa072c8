using Cnvm.Linux;
using Cnvm.Virtio.Block;
using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Migration;

/// <summary>The disks of a guest that is on its way here.</summary>
internal static class ArrivingDisks
{
    /// <summary>Files are cut to whole blocks, which direct I/O may have larger on one host than on another.</summary>
    private const ulong LargestBlock = 4096;

    /// <summary>
    /// Files that the guest's disks need here, before anybody has stopped anything for them; each that cannot be opened or has another size, by the
    /// disk's name. They are opened without asking for a lock of any kind: the source has its own on them, which network file systems do not tell apart.
    /// </summary>
    /// <param name="raw">What the source says of those that are raw; null if it is older and says nothing.</param>
    public static IEnumerable<string> Obstacles(VmConfig config, RawDiskOffers? raw)
    {
        foreach (DiskConfig disk in (config.Disks ?? []).Where(d => !d.VhostUser))
        {
            string? problem;
            try
            {
                using var file = new DiskFile(disk.Path!, disk.Readonly, direct: false);
                problem = SizeObstacle(disk, file, raw?.Disks.FirstOrDefault(d => d.Id == disk.Id));
            }
            catch (Exception e) when (e is LinuxException or BlockImageException)
            {
                problem = e.Message;
            }

            if (problem is not null)
            {
                yield return $"disk {disk.Id}: {problem}";
            }
        }
    }

    private static string? SizeObstacle(DiskConfig disk, DiskFile file, RawDiskOffer? known) =>
        known is null || (file.Size >= known.Size && file.Size - known.Size < LargestBlock) || !IsRaw(disk)
            ? null
            : $"{file.Path} has {file.Size} bytes here, and the guest's disk has {known.Size}: it is another file than the source's";

    /// <summary>Here it may be in an image of a format, whose file has a size of its own.</summary>
    private static bool IsRaw(DiskConfig disk) =>
        disk.ImageType == ImageType.Raw || (disk.ImageType == ImageType.Unknown && DiskImage.Detect(disk.Path!) == ImageFormat.Raw);
}
