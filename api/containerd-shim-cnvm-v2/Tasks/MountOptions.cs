using Cnvm.Linux;

namespace Cnvm.Shim.Tasks;

/// <summary>Mount options as words, parted into what the kernel takes as flags and what the file system takes itself.</summary>
/// <param name="Flags">Flags of <see cref="FileSystemMounts"/>.</param>
/// <param name="Data">The rest, separated by commas.</param>
/// <param name="IsLoop">The source is a file that a loop device makes a disk of.</param>
internal sealed record MountOptions(ulong Flags, string Data, bool IsLoop)
{
    /// <summary>Words that set (true) or clear (false) a flag (mount(8); containerd's mount/mount_linux.go has the same ones).</summary>
    private static readonly Dictionary<string, (bool Set, ulong Flags)> Words = new(StringComparer.Ordinal)
    {
        ["async"] = (false, FileSystemMounts.MS_SYNCHRONOUS),
        ["atime"] = (false, FileSystemMounts.MS_NOATIME),
        ["bind"] = (true, FileSystemMounts.MS_BIND),
        ["defaults"] = (true, 0),
        ["dev"] = (false, FileSystemMounts.MS_NODEV),
        ["diratime"] = (false, FileSystemMounts.MS_NODIRATIME),
        ["dirsync"] = (true, FileSystemMounts.MS_DIRSYNC),
        ["exec"] = (false, FileSystemMounts.MS_NOEXEC),
        ["mand"] = (true, FileSystemMounts.MS_MANDLOCK),
        ["noatime"] = (true, FileSystemMounts.MS_NOATIME),
        ["nodev"] = (true, FileSystemMounts.MS_NODEV),
        ["nodiratime"] = (true, FileSystemMounts.MS_NODIRATIME),
        ["noexec"] = (true, FileSystemMounts.MS_NOEXEC),
        ["nomand"] = (false, FileSystemMounts.MS_MANDLOCK),
        ["norelatime"] = (false, FileSystemMounts.MS_RELATIME),
        ["nostrictatime"] = (false, FileSystemMounts.MS_STRICTATIME),
        ["nosuid"] = (true, FileSystemMounts.MS_NOSUID),
        ["rbind"] = (true, FileSystemMounts.MS_BIND | FileSystemMounts.MS_REC),
        ["relatime"] = (true, FileSystemMounts.MS_RELATIME),
        ["remount"] = (true, FileSystemMounts.MS_REMOUNT),
        ["ro"] = (true, FileSystemMounts.MS_RDONLY),
        ["rw"] = (false, FileSystemMounts.MS_RDONLY),
        ["strictatime"] = (true, FileSystemMounts.MS_STRICTATIME),
        ["suid"] = (false, FileSystemMounts.MS_NOSUID),
        ["sync"] = (true, FileSystemMounts.MS_SYNCHRONOUS),
    };

    /// <summary>Parts options; a later word counts more than an earlier one.</summary>
    public static MountOptions Parse(IEnumerable<string> options)
    {
        ulong flags = 0;
        bool isLoop = false;
        var data = new List<string>();
        foreach (string option in options)
        {
            if (Words.TryGetValue(option, out (bool Set, ulong Flags) word))
            {
                flags = word.Set ? flags | word.Flags : flags & ~word.Flags;
            }
            else if (option == "loop")
            {
                isLoop = true;
            }
            else
            {
                data.Add(option);
            }
        }

        return new MountOptions(flags, string.Join(',', data), isLoop);
    }
}
