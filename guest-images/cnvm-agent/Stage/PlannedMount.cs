namespace Cnvm.GuestAgent.Stage;

/// <summary>One mount of a container.</summary>
/// <param name="Source">For a bind: a path of the sandbox.</param>
/// <param name="Destination">A path of the container.</param>
/// <param name="Type">File system; empty for a bind.</param>
/// <param name="Flags">MS_ flags.</param>
/// <param name="Propagation">MS_ flags of propagation that follow; 0 for none.</param>
/// <param name="Data">What is for the file system itself.</param>
internal sealed record PlannedMount(string Source, string Destination, string Type, ulong Flags, ulong Propagation, string Data)
{
    public bool IsBind => (Flags & Linux.Mounts.MS_BIND) != 0;
}
