using System.Text.Json.Serialization;
using Cnvm.Virtio.Balloon;
using Cnvm.Virtio.Block;
using Cnvm.Virtio.Console;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Net;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.VhostUser;
using Cnvm.Virtio.Vsock;
using Cnvm.Virtio.Watchdog;

namespace Cnvm.Virtio;

/// <summary>What a device remembers beside its queues and configuration: little. Pure data.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(BlockState), "block")]
[JsonDerivedType(typeof(NetState), "net")]
[JsonDerivedType(typeof(RngState), "rng")]
[JsonDerivedType(typeof(ConsoleState), "console")]
[JsonDerivedType(typeof(VsockState), "vsock")]
[JsonDerivedType(typeof(BalloonState), "balloon")]
[JsonDerivedType(typeof(WatchdogState), "watchdog")]
[JsonDerivedType(typeof(FsState), "fs")]
[JsonDerivedType(typeof(VhostUserState), "vhost_user")]
public abstract record VirtioDeviceState;
