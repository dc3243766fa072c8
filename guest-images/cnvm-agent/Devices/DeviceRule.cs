using Cnvm.Linux;

namespace Cnvm.GuestAgent.Devices;

/// <summary>One rule of linux.resources.devices.</summary>
/// <param name="allows">Or forbids.</param>
/// <param name="kind">BPF_DEVCG_DEV_ number; 0 for both.</param>
/// <param name="major">-1 for all.</param>
/// <param name="minor">-1 for all.</param>
/// <param name="access">BPF_DEVCG_ACC_ bits.</param>
internal sealed class DeviceRule(bool allows, int kind, long major, long minor, int access)
{
    public const int AllAccess = DeviceFilter.BPF_DEVCG_ACC_MKNOD | DeviceFilter.BPF_DEVCG_ACC_READ | DeviceFilter.BPF_DEVCG_ACC_WRITE;

    public bool Allows => allows;

    public int Kind => kind;

    public long Major => major;

    public long Minor => minor;

    public int Access => access;

    public bool IsAboutAll => kind == 0 && major < 0 && minor < 0;

    public bool IsAbout(int deviceKind, long deviceMajor, long deviceMinor) =>
        (kind == 0 || kind == deviceKind) && (major < 0 || major == deviceMajor) && (minor < 0 || minor == deviceMinor);
}
