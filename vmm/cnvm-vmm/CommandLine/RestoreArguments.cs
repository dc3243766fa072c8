using Cnvm.Vmm.Snapshot;

namespace Cnvm.VmmProgram.CommandLine;

/// <summary>What <c>--restore</c> asks for.</summary>
internal static class RestoreArguments
{
    /// <exception cref="CommandLineException">A key or a value is wrong, or there is no source.</exception>
    public static RestoreConfig? Parse(string? text)
    {
        if (text is null)
        {
            return null;
        }

        var o = new OptionString(Flags.Restore, text, "source_url", "prefault", "memory_restore_mode", "net_fds", "resume");
        return new RestoreConfig(
            SourceUrl: o.Text("source_url") ?? throw new CommandLineException($"{Flags.Restore}: source_url=file:///FOLDER is needed"),
            Prefault: o.Toggle("prefault"),
            MemoryRestoreMode: o.Choice("memory_restore_mode", ("copy", MemoryRestoreMode.Copy), ("ondemand", MemoryRestoreMode.OnDemand))
                ?? MemoryRestoreMode.Copy,
            NetFds: o.NamedTuples("net_fds")?.Select(n => new RestoredNetConfig(n.Left, n.Right.Count, [.. n.Right.Select(fd => (int)fd)])).ToList(),
            Resume: o.Toggle("resume"));
    }
}
