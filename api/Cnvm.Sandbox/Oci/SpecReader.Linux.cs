using Cnvm.Agent.Protocol;

namespace Cnvm.Sandbox.Oci;

// The object "linux" (config-linux.md).
internal static partial class SpecReader
{
    private static Linux ReadLinux(JsonObjectReader o) => new()
    {
        UIDMappings = o.Objects("uidMappings", ReadMapping),
        GIDMappings = o.Objects("gidMappings", ReadMapping),
        Sysctl = o.Map("sysctl"),
        Resources = o.Object("resources", ReadResources),
        CgroupsPath = o.Text("cgroupsPath"),
        Namespaces = o.Objects("namespaces", static n => new LinuxNamespace { Type = n.Text("type"), Path = n.Text("path") }),
        Devices = o.Objects("devices", static d => new LinuxDevice
        {
            Path = d.Text("path"), Type = d.Text("type"), Major = d.Long("major"), Minor = d.Long("minor"),
            FileMode = d.UInt("fileMode"), UID = d.UInt("uid"), GID = d.UInt("gid"),
        }),
        Seccomp = o.Object("seccomp", ReadSeccomp),
        RootfsPropagation = o.Text("rootfsPropagation"),
        MaskedPaths = o.Texts("maskedPaths"),
        ReadonlyPaths = o.Texts("readonlyPaths"),
        MountLabel = o.Text("mountLabel"),
    };

    private static LinuxIDMapping ReadMapping(JsonObjectReader o) => new()
    {
        HostID = o.UInt("hostID"), ContainerID = o.UInt("containerID"), Size = o.UInt("size"),
    };

    private static LinuxResources ReadResources(JsonObjectReader o) => new()
    {
        Devices = o.Objects("devices", static d => new LinuxDeviceCgroup
        {
            Allow = d.Flag("allow"), Type = d.Text("type"), Major = d.Long("major"), Minor = d.Long("minor"), Access = d.Text("access"),
        }),
        Memory = o.Object("memory", static m => new LinuxMemory
        {
            Limit = m.Long("limit"), Reservation = m.Long("reservation"), Swap = m.Long("swap"), Kernel = m.Long("kernel"),
            KernelTCP = m.Long("kernelTCP"), Swappiness = m.ULong("swappiness"), DisableOOMKiller = m.Flag("disableOOMKiller"),
        }),
        CPU = o.Object("cpu", static c => new LinuxCPU
        {
            Shares = c.ULong("shares"), Quota = c.Long("quota"), Period = c.ULong("period"), RealtimeRuntime = c.Long("realtimeRuntime"),
            RealtimePeriod = c.ULong("realtimePeriod"), Cpus = c.Text("cpus"), Mems = c.Text("mems"),
        }),
        Pids = o.Object("pids", static p => new LinuxPids { Limit = p.Long("limit") }),
    };

    private static LinuxSeccomp ReadSeccomp(JsonObjectReader o) => new()
    {
        DefaultAction = o.Text("defaultAction"),
        Architectures = o.Texts("architectures"),
        Flags = o.Texts("flags"),
        Syscalls = o.Objects("syscalls", static s => new LinuxSyscall
        {
            Names = s.Texts("names"),
            Action = s.Text("action"),
            Args = s.Objects("args", static a => new LinuxSeccompArg
            {
                Index = a.ULong("index"), Value = a.ULong("value"), ValueTwo = a.ULong("valueTwo"), Op = a.Text("op"),
            }),
            ErrnoRet = s.UInt("errnoRet"),
        }),
    };
}
