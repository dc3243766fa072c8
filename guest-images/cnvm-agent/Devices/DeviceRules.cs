using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Spec;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Devices;

/// <summary>
/// Which devices a container may use. Of the rules about a device and an access the last one counts; without any it is forbidden. The devices that
/// every container has stay allowed, and so does the making of nodes, as runc has it.
/// </summary>
internal sealed class DeviceRules
{
    private const int MostRules = 1024;
    private const uint NodeKinds = 0xf000;

    private static readonly DeviceRule[] Always =
    [
        new(true, DeviceFilter.BPF_DEVCG_DEV_CHAR, -1, -1, DeviceFilter.BPF_DEVCG_ACC_MKNOD),
        new(true, DeviceFilter.BPF_DEVCG_DEV_BLOCK, -1, -1, DeviceFilter.BPF_DEVCG_ACC_MKNOD),
        // null, zero, full, random, urandom; tty, console, ptmx; all of devpts.
        Memory(3), Memory(5), Memory(7), Memory(8), Memory(9), Terminal(5, 0), Terminal(5, 1), Terminal(5, 2), Terminal(136, -1),
    ];

    private readonly DeviceRule[] _rules;

    private DeviceRules(DeviceRule[] rules) => _rules = rules;

    /// <summary>All of them in order, those that always hold at the end.</summary>
    public IReadOnlyList<DeviceRule> InOrder => _rules;

    /// <returns>Null if the specification has no rules: then the container may use what it sees.</returns>
    /// <exception cref="StageException">A rule makes no sense, or there are too many.</exception>
    public static DeviceRules? Of(LinuxResources? resources)
    {
        if (resources is null || resources.Devices.Count == 0)
        {
            return null;
        }

        return resources.Devices.Count <= MostRules
            ? new DeviceRules([.. resources.Devices.Select(Rule), .. Always])
            : throw new StageException($"linux.resources.devices has {resources.Devices.Count} rules; {MostRules} are possible");
    }

    /// <summary>The same rules for devices that have other numbers here than where the specification was written.</summary>
    public DeviceRules With(uint mode, long major, long minor, long newMajor, long newMinor)
    {
        int kind = KindOf(mode);
        return new DeviceRules(
        [
            .. _rules.Select(r => r.Kind == kind && r.Major == major && r.Minor == minor ? new DeviceRule(r.Allows, kind, newMajor, newMinor, r.Access) : r),
        ]);
    }

    /// <summary>Whether a container may do all of this with a device.</summary>
    /// <param name="kind">BPF_DEVCG_DEV_ number.</param>
    /// <param name="access">BPF_DEVCG_ACC_ bits.</param>
    public bool Allow(int kind, long major, long minor, int access)
    {
        for (int i = _rules.Length - 1; i >= 0 && access != 0; i--)
        {
            DeviceRule rule = _rules[i];
            if (rule.IsAbout(kind, major, minor))
            {
                if (!rule.Allows && (rule.Access & access) != 0)
                {
                    return false;
                }

                access &= ~rule.Access;
            }
        }

        return access == 0;
    }

    /// <summary>What the rules forbid that a container could use without them; null if there is nothing.</summary>
    public string? WhatIsForbidden(StagePlan plan)
    {
        foreach (PlannedDevice device in plan.Devices)
        {
            int kind = KindOf(device.Mode);
            if (kind != 0 && !Allow(kind, device.Major, device.Minor, DeviceFilter.BPF_DEVCG_ACC_READ | DeviceFilter.BPF_DEVCG_ACC_WRITE))
            {
                return device.Path;
            }
        }

        if (AllowsAll)
        {
            return null;
        }

        return (plan.Capabilities.Bounding & CapabilityNames.MakeNodes) != 0 ? "devices that it makes the nodes of (CAP_MKNOD)"
            : plan.Mounts.Any(m => m.Type == "devtmpfs" || (m.IsBind && (m.Source == "/dev" || m.Source.StartsWith("/dev/", StringComparison.Ordinal))))
                ? "devices that its mounts show" : null;
    }

    /// <summary>BPF_DEVCG_DEV_ number of a node; 0 for what is no device.</summary>
    private static int KindOf(uint mode) => (mode & NodeKinds) switch
    {
        FileCalls.S_IFCHR => DeviceFilter.BPF_DEVCG_DEV_CHAR,
        FileCalls.S_IFBLK => DeviceFilter.BPF_DEVCG_DEV_BLOCK,
        _ => 0,
    };

    private bool AllowsAll
    {
        get
        {
            int open = DeviceRule.AllAccess;
            for (int i = _rules.Length - 1; i >= 0 && open != 0; i--)
            {
                DeviceRule rule = _rules[i];
                if (!rule.Allows && (rule.Access & open) != 0)
                {
                    return false;
                }

                open &= rule.IsAboutAll ? ~rule.Access : DeviceRule.AllAccess;
            }

            return open == 0;
        }
    }

    private static DeviceRule Memory(long minor) => new(true, DeviceFilter.BPF_DEVCG_DEV_CHAR, 1, minor, DeviceRule.AllAccess);

    private static DeviceRule Terminal(long major, long minor) => new(true, DeviceFilter.BPF_DEVCG_DEV_CHAR, major, minor, DeviceRule.AllAccess);

    private static DeviceRule Rule(LinuxDeviceCgroup rule)
    {
        int kind = rule.Type switch
        {
            "a" or "" => 0,
            "c" => DeviceFilter.BPF_DEVCG_DEV_CHAR,
            "b" => DeviceFilter.BPF_DEVCG_DEV_BLOCK,
            _ => throw new StageException($"linux.resources.devices: there is no type '{rule.Type}'"),
        };
        int access = 0;
        foreach (char letter in rule.Access)
        {
            access |= letter switch
            {
                'r' => DeviceFilter.BPF_DEVCG_ACC_READ,
                'w' => DeviceFilter.BPF_DEVCG_ACC_WRITE,
                'm' => DeviceFilter.BPF_DEVCG_ACC_MKNOD,
                _ => throw new StageException($"linux.resources.devices: access '{rule.Access}' is not of r, w and m"),
            };
        }

        // A rule about all devices has no numbers, whatever is written there (OCI runtime specification, "Allowed Device list").
        return kind == 0
            ? new DeviceRule(rule.Allow, 0, -1, -1, access == 0 ? DeviceRule.AllAccess : access)
            : new DeviceRule(rule.Allow, kind, rule.Major, rule.Minor, access == 0 ? DeviceRule.AllAccess : access);
    }
}
