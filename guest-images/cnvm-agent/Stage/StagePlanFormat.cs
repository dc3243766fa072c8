using System.Text;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Stage;

/// <summary>A plan as bytes. Writer and reader are the same program, so there are no versions.</summary>
internal static class StagePlanFormat
{
    public static byte[] Write(StagePlan plan)
    {
        using var memory = new MemoryStream();
        using var w = new BinaryWriter(memory, Encoding.UTF8);
        w.Write(plan.RootPath is not null);
        w.Write(plan.RootPath ?? "");
        w.Write(plan.IsRootReadOnly);
        w.Write(plan.RootPropagation);
        Each(w, plan.Mounts, m =>
        {
            w.Write(m.Source);
            w.Write(m.Destination);
            w.Write(m.Type);
            w.Write(m.Flags);
            w.Write(m.Propagation);
            w.Write(m.Data);
        });
        Each(w, plan.Devices, d =>
        {
            w.Write(d.Path);
            w.Write(d.Mode);
            w.Write(d.Major);
            w.Write(d.Minor);
            w.Write(d.UserId);
            w.Write(d.GroupId);
        });
        Each(w, plan.MaskedPaths, w.Write);
        Each(w, plan.ReadOnlyPaths, w.Write);
        Each(w, plan.Sysctls, s =>
        {
            w.Write(s.Path);
            w.Write(s.Value);
        });
        w.Write(plan.HostName);
        w.Write(plan.HasTerminal);
        w.Write(plan.TerminalRows);
        w.Write(plan.TerminalColumns);
        Each(w, plan.Arguments, w.Write);
        Each(w, plan.Environment, w.Write);
        w.Write(plan.WorkingDirectory);
        w.Write(plan.UserId);
        w.Write(plan.GroupId);
        Each(w, plan.AdditionalGroups, w.Write);
        w.Write(plan.UserName);
        w.Write(plan.Capabilities.Bounding);
        w.Write(plan.Capabilities.Effective);
        w.Write(plan.Capabilities.Inheritable);
        w.Write(plan.Capabilities.Permitted);
        w.Write(plan.Capabilities.Ambient);
        w.Write(plan.NoNewPrivileges);
        Each(w, plan.Limits, l =>
        {
            w.Write(l.Resource);
            w.Write(l.Soft);
            w.Write(l.Hard);
        });
        w.Write(plan.OomScoreAdjustment is not null);
        w.Write(plan.OomScoreAdjustment ?? 0);
        Each(w, plan.SeccompFilter, f =>
        {
            w.Write(f.code);
            w.Write(f.jt);
            w.Write(f.jf);
            w.Write(f.k);
        });
        w.Write(plan.SeccompFlags);
        w.Flush();
        return memory.ToArray();
    }

    public static StagePlan Read(byte[] bytes)
    {
        using var r = new BinaryReader(new MemoryStream(bytes), Encoding.UTF8);
        bool isContainer = r.ReadBoolean();
        string root = r.ReadString();
        // Initializers run in the order in which they are written here, which is Write's.
        return new StagePlan
        {
            RootPath = isContainer ? root : null,
            IsRootReadOnly = r.ReadBoolean(),
            RootPropagation = r.ReadUInt64(),
            Mounts = Each(r, () => new PlannedMount(r.ReadString(), r.ReadString(), r.ReadString(), r.ReadUInt64(), r.ReadUInt64(), r.ReadString())),
            Devices = Each(r, () => new PlannedDevice(r.ReadString(), r.ReadUInt32(), r.ReadUInt32(), r.ReadUInt32(), r.ReadUInt32(), r.ReadUInt32())),
            MaskedPaths = Each(r, r.ReadString),
            ReadOnlyPaths = Each(r, r.ReadString),
            Sysctls = Each(r, () => (r.ReadString(), r.ReadString())),
            HostName = r.ReadString(),
            HasTerminal = r.ReadBoolean(),
            TerminalRows = r.ReadUInt16(),
            TerminalColumns = r.ReadUInt16(),
            Arguments = Each(r, r.ReadString),
            Environment = Each(r, r.ReadString),
            WorkingDirectory = r.ReadString(),
            UserId = r.ReadUInt32(),
            GroupId = r.ReadUInt32(),
            AdditionalGroups = Each(r, r.ReadUInt32),
            UserName = r.ReadString(),
            Capabilities = new CapabilitySets(r.ReadUInt64(), r.ReadUInt64(), r.ReadUInt64(), r.ReadUInt64(), r.ReadUInt64()),
            NoNewPrivileges = r.ReadBoolean(),
            Limits = Each(r, () => (r.ReadInt32(), r.ReadUInt64(), r.ReadUInt64())),
            OomScoreAdjustment = r.ReadBoolean() ? r.ReadInt32() : Skip(r.ReadInt32()),
            SeccompFilter = Each(r, () => new sock_filter { code = r.ReadUInt16(), jt = r.ReadByte(), jf = r.ReadByte(), k = r.ReadUInt32() }),
            SeccompFlags = r.ReadUInt32(),
        };
    }

    private static int? Skip(int _) => null;

    private static void Each<T>(BinaryWriter writer, IReadOnlyList<T> items, Action<T> write)
    {
        writer.Write(items.Count);
        foreach (T item in items)
        {
            write(item);
        }
    }

    private static List<T> Each<T>(BinaryReader reader, Func<T> read)
    {
        int count = reader.ReadInt32();
        var items = new List<T>();
        for (int i = 0; i < count; i++)
        {
            items.Add(read());
        }

        return items;
    }
}
