namespace Cnvm.Agent.Protocol.Json;

/// <summary>The <c>linux.resources</c> member of a configuration.</summary>
internal static class OciResources
{
    /// <summary>In a rule about devices a number that is missing means all; the message has -1 for that.</summary>
    private const long AllNumbers = -1;

    public static LinuxResources Read(OciNode node) => new()
    {
        Devices = node.Children("devices", rule => new LinuxDeviceCgroup
        {
            Allow = rule.Bool("allow"),
            Type = rule.Text("type"),
            Major = rule.Int64("major", AllNumbers),
            Minor = rule.Int64("minor", AllNumbers),
            Access = rule.Text("access"),
        }),
        Memory = node.Child("memory", memory => new LinuxMemory
        {
            Limit = memory.Int64("limit"),
            Reservation = memory.Int64("reservation"),
            Swap = memory.Int64("swap"),
            Kernel = memory.Int64("kernel"),
            KernelTcp = memory.Int64("kernelTCP"),
            Swappiness = memory.UInt64("swappiness"),
            DisableOomKiller = memory.Bool("disableOOMKiller"),
        }),
        Cpu = node.Child("cpu", cpu => new LinuxCPU
        {
            Shares = cpu.UInt64("shares"),
            Quota = cpu.Int64("quota"),
            Period = cpu.UInt64("period"),
            RealtimeRuntime = cpu.Int64("realtimeRuntime"),
            RealtimePeriod = cpu.UInt64("realtimePeriod"),
            Cpus = cpu.Text("cpus"),
            Mems = cpu.Text("mems"),
        }),
        Pids = node.Child("pids", pids => new LinuxPids { Limit = pids.Int64("limit") }),
        BlockIo = node.Child("blockIO", disks => new LinuxBlockIO
        {
            Weight = disks.UInt32("weight"),
            LeafWeight = disks.UInt32("leafWeight"),
            WeightDevice = disks.Children("weightDevice", disk => new LinuxWeightDevice
            {
                Major = disk.Int64("major"),
                Minor = disk.Int64("minor"),
                Weight = disk.UInt32("weight"),
                LeafWeight = disk.UInt32("leafWeight"),
            }),
            ThrottleReadBpsDevice = disks.Children("throttleReadBpsDevice", Throttle),
            ThrottleWriteBpsDevice = disks.Children("throttleWriteBpsDevice", Throttle),
            ThrottleReadIopsDevice = disks.Children("throttleReadIOPSDevice", Throttle),
            ThrottleWriteIopsDevice = disks.Children("throttleWriteIOPSDevice", Throttle),
        }),
        HugepageLimits = node.Children("hugepageLimits", limit => new LinuxHugepageLimit { Pagesize = limit.Text("pageSize"), Limit = limit.UInt64("limit") }),
        Network = node.Child("network", network => new LinuxNetwork
        {
            ClassId = network.UInt32("classID"),
            Priorities = network.Children("priorities", one => new LinuxInterfacePriority { Name = one.Text("name"), Priority = one.UInt32("priority") }),
        }),
    };

    private static LinuxThrottleDevice Throttle(OciNode node) => new() { Major = node.Int64("major"), Minor = node.Int64("minor"), Rate = node.UInt64("rate") };
}
