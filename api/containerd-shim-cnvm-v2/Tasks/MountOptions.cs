using Cnvm.Linux;

namespace Cnvm.Shim.Tasks;

/// <summary>Mount options of containerd's snapshots.</summary>
/// <param name="Words">What the kernel and the file system take.</param>
/// <param name="IsLoop">The source is a file that a loop device makes a disk of.</param>
internal sealed record MountOptions(MountWords Words, bool IsLoop)
{
    private const string Loop = "loop";

    /// <summary>Parts options; a later word counts more than an earlier one.</summary>
    public static MountOptions Parse(IReadOnlyList<string> options) => new(MountWords.Sort(options.Where(o => o != Loop)), options.Contains(Loop));
}
