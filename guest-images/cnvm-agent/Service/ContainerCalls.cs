using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Cgroups;
using Cnvm.GuestAgent.Containers;
using Cnvm.GuestAgent.Spec;
using Cnvm.GuestAgent.Stage;
using Cnvm.GuestAgent.Storages;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Service;

/// <summary>Calls about whole containers.</summary>
internal sealed class ContainerCalls(Sandbox sandbox)
{
    public void AddTo(TtrpcService service) => service
        .Add<CreateContainerRequest, Empty>(AgentService.CreateContainer, (r, _) => Answers.DoAsync(() => Create(r)))
        .Add<StartContainerRequest, Empty>(AgentService.StartContainer, (r, _) => Answers.DoAsync(() => sandbox.Start(r.ContainerId)))
        .Add<RemoveContainerRequest, Empty>(AgentService.RemoveContainer, (r, _) => Answers.DoAsync(() => sandbox.Remove(r.ContainerId)))
        .Add<UpdateContainerRequest, Empty>(
            AgentService.UpdateContainer, (r, _) => Answers.DoAsync(() => sandbox.Find(r.ContainerId).Update(SpecReader.Limits(r.Resources))))
        .Add<PauseContainerRequest, Empty>(AgentService.PauseContainer, (r, _) => Answers.DoAsync(() => sandbox.Find(r.ContainerId).Group.SetFrozen(true)))
        .Add<ResumeContainerRequest, Empty>(AgentService.ResumeContainer, (r, _) => Answers.DoAsync(() => sandbox.Find(r.ContainerId).Group.SetFrozen(false)))
        .Add<StatsContainerRequest, StatsContainerResponse>(
            AgentService.StatsContainer, (r, _) => Answers.GetAsync(() => ContainerStatistics.Of(sandbox.Find(r.ContainerId).Group)))
        .Add<GetOOMEventRequest, OOMEvent>(
            AgentService.GetOOMEvent, async (_, cancellation) => new OOMEvent { ContainerId = await sandbox.OutOfMemory.NextAsync(cancellation).ConfigureAwait(false) });

    /// <summary>A storage as the agent's own type.</summary>
    internal static StorageRequest Read(Storage storage) => new(
        storage.Driver, storage.Source, storage.DriverOptions, storage.Fstype, storage.Options, storage.MountPoint, storage.FsGroup?.GroupId);

    private void Create(CreateContainerRequest request)
    {
        Agent.Protocol.Spec spec = request.Oci ?? throw new TtrpcException(TtrpcCode.InvalidArgument, "the container has no specification");
        StagePlan plan = SpecReader.Container(spec);
        if (request.StringUser is { Uid.Length: > 0 } user)
        {
            plan = plan with { UserName = user.Gid.Length > 0 ? $"{user.Uid}:{user.Gid}" : user.Uid };
        }

        if (request.SharedMounts.Count > 0)
        {
            throw new TtrpcException(TtrpcCode.Unimplemented, "mounts that containers share are not supported");
        }

        ContainerLimits limits = SpecReader.Limits(spec.Linux?.Resources);
        PlannedDevice[] placed = [.. plan.Devices.Select(d => Place(d, request.Devices))];
        for (int i = 0; i < placed.Length; i++)
        {
            PlannedDevice there = plan.Devices[i];
            if (!ReferenceEquals(placed[i], there))
            {
                limits = limits with { Devices = limits.Devices?.With(there.Mode, there.Major, there.Minor, placed[i].Major, placed[i].Minor) };
            }
        }

        sandbox.Create(
            request.ContainerId, request.ExecId, plan with { Devices = placed }, limits, [.. request.Storages.Select(Read)], request.SandboxPidns);
    }

    /// <summary>The host's number of a disk is not the sandbox's.</summary>
    private static PlannedDevice Place(PlannedDevice device, IReadOnlyList<Device> offered)
    {
        if (offered.FirstOrDefault(o => o.ContainerPath == device.Path) is not { } given)
        {
            return device;
        }

        string node = BlockDevices.Find(given.VmPath.Length > 0 ? given.VmPath : given.Id, "/sys");
        (uint major, uint minor) = BlockDevices.NumberOf(node, "/sys");
        return device with { Major = major, Minor = minor };
    }
}
