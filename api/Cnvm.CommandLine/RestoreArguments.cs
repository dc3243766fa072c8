using Cnvm.Vmm.Requests;

namespace Cnvm.CommandLine;

/// <summary>What <c>--restore</c> asks for.</summary>
/// <param name="Config">As <c>vm.restore</c> has it.</param>
/// <param name="Fds">The open descriptors that <see cref="RestoreConfig.NetFds"/> counts, in its order.</param>
internal sealed record RestoreArguments(RestoreConfig Config, IReadOnlyList<int> Fds)
{
    /// <exception cref="CommandLineException">A key or a value is wrong, or there is no source.</exception>
    public static RestoreArguments? Parse(string? text)
    {
        if (text is null)
        {
            return null;
        }

        var o = new OptionString(Flags.Restore, text, "source_url", "prefault", "memory_restore_mode", "net_fds", "resume", "net_overrides", "clock",
            "disk_overrides", "vsock_socket");
        List<NamedList>? nets = o.NamedTuples("net_fds");
        var descriptors = new List<int>();
        foreach (NamedList net in nets ?? [])
        {
            foreach (uint fd in net.Right)
            {
                descriptors.Add((int)fd);
            }
        }

        return new RestoreArguments(
            new RestoreConfig(
                SourceUrl: o.Text("source_url") ?? throw new CommandLineException($"{Flags.Restore}: source_url=file:///FOLDER is needed"),
                Prefault: o.Toggle("prefault"),
                MemoryRestoreMode: o.Choice("memory_restore_mode", ("copy", MemoryRestoreMode.Copy), ("ondemand", MemoryRestoreMode.OnDemand))
                    ?? MemoryRestoreMode.Copy,
                NetFds: nets?.ConvertAll(n => new RestoredNet(n.Left, (uint)n.Right.Count)),
                Resume: o.Toggle("resume"),
                NetOverrides: o.Words("net_overrides")?.ConvertAll(Override),
                Clock: o.Choice("clock", ("hold", ClockRestoreMode.Hold), ("advance", ClockRestoreMode.Advance)) ?? ClockRestoreMode.Hold,
                DiskOverrides: o.Words("disk_overrides")?.ConvertAll(OverrideDisk),
                VsockSocket: o.Text("vsock_socket")),
            descriptors);
    }

    private static NetOverride Override(string word)
    {
        int at = word.IndexOf('@', StringComparison.Ordinal);
        return at > 0
            ? new NetOverride(word[..at], Mac: word[(at + 1)..])
            : throw new CommandLineException($"{Flags.Restore}: net_overrides: '{word}' is not ID@MAC");
    }

    private static DiskOverride OverrideDisk(string word)
    {
        int at = word.IndexOf('@', StringComparison.Ordinal);
        return at > 0 && at + 1 < word.Length
            ? new DiskOverride(word[..at], word[(at + 1)..])
            : throw new CommandLineException($"{Flags.Restore}: disk_overrides: '{word}' is not ID@PATH");
    }
}
