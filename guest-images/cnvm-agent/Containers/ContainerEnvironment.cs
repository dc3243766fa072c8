using Cnvm.GuestAgent.Io;
using Cnvm.GuestAgent.Processes;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Containers;

/// <summary>What all containers of the sandbox have in common.</summary>
/// <param name="ControlGroups">Folder of the control group that theirs are made in.</param>
/// <param name="SharedNamespaces">UTS and IPC of the sandbox.</param>
internal sealed record ContainerEnvironment(
    string ControlGroups, ProcessTable Processes, StageLauncher Launcher, DescriptorWatch Watch, IReadOnlyList<FileDescriptor> SharedNamespaces, ConsoleLog Log);
