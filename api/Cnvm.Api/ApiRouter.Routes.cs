using System.Text.Json.Serialization.Metadata;
using Cnvm.Api.Http;
using Cnvm.Api.Json;
using Cnvm.Api.Metrics;
using Cnvm.Linux;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;

namespace Cnvm.Api;

// The endpoints: Cloud Hypervisor's, and cnvm's own.
internal sealed partial class ApiRouter
{
    private static HttpResponse NoContent => new(204);

    private ApiRoute[] MakeRoutes() =>
    [
        new("GET", "vmm.ping", "The VMM does not answer", _ => Json(_vmm.Ping(), ApiJsonContext.Default.VmmPing))
        {
            AnswersAtOnce = true, Answer = static () => ApiJsonContext.Default.VmmPing,
        },
        new("GET", "vmm.metrics", "The metrics are not available", _ => Metrics()),
        new("GET", "vmm.events", "The events are not available", Events)
        {
            AnswersAtOnce = true, MustWait = MustWaitForEvent, Answer = static () => ApiJsonContext.Default.EventPage,
        },
        new("GET", "vm.info", "The VM info is not available", _ => Json(_vmm.Info(), ApiJsonContext.Default.VmInfo))
        {
            Answer = static () => ApiJsonContext.Default.VmInfo,
        },
        new("GET", "vm.counters", "The VM counters are not available", _ => Json(_vmm.Counters(), ApiJsonContext.Default.Counters))
        {
            Answer = static () => ApiJsonContext.Default.Counters,
        },
        new("GET", "vm.state", "The VM's state is not available", _ => Json(_vmm.State(), ApiJsonContext.Default.VmSavedState))
        {
            Answer = static () => ApiJsonContext.Default.VmSavedState,
        },
        Action("vmm.shutdown", "The VMM could not be shut down", _vmm.ShutdownVmm, static () => new HttpResponse(200, endsServer: true)),
        Action("vm.boot", "The VM could not boot", _vmm.Boot),
        Action("vm.pause", "The VM could not be paused", _vmm.Pause),
        Action("vm.resume", "The VM could not resume", _vmm.Resume),
        Action("vm.reboot", "The VM could not reboot", _vmm.Reboot),
        Action("vm.power-button", "The power button could not be pressed", _vmm.PowerButton),
        Action("vm.nmi", "The NMI could not be sent", _vmm.Nmi),
        Action("vm.shutdown", "The VM could not be shut down", _vmm.Shutdown),
        Action("vm.delete", "The VM could not be deleted", _vmm.Delete),
        Put("vm.create", "The VM could not be created", static () => ApiJsonContext.Default.VmConfig, (config, _) => Create(config)),
        Put("vm.resize", "The VM could not be resized", static () => ApiJsonContext.Default.VmResize, (r, _) => Done(() => _vmm.Resize(r))),
        Put(
            "vm.resize-disk",
            "The disk could not be resized",
            static () => ApiJsonContext.Default.VmResizeDisk,
            (r, _) => Done(() => _vmm.ResizeDisk(r))),
        Put(
            "vm.resize-zone",
            "The memory zone could not be resized",
            static () => ApiJsonContext.Default.VmResizeZone,
            (r, _) => Done(() => _vmm.ResizeZone(r))),
        Add("vm.add-device", static () => ApiJsonContext.Default.DeviceConfig, static (c, fds) => c with { Fd = HostDevice(fds) }),
        Add("vm.add-user-device", static () => ApiJsonContext.Default.UserDeviceConfig),
        Add("vm.add-disk", static () => ApiJsonContext.Default.DiskConfig),
        Add("vm.add-fs", static () => ApiJsonContext.Default.FsConfig),
        Add("vm.add-generic-vhost-user", static () => ApiJsonContext.Default.GenericVhostUserConfig),
        Add("vm.add-pmem", static () => ApiJsonContext.Default.PmemConfig),
        Add("vm.add-net", static () => ApiJsonContext.Default.NetConfig, static (c, fds) => c with { Fds = TapQueues(fds) }),
        Add("vm.add-vdpa", static () => ApiJsonContext.Default.VdpaConfig),
        Add("vm.add-vsock", static () => ApiJsonContext.Default.VsockConfig),
        Put(
            "vm.remove-device",
            "The device could not be removed",
            static () => ApiJsonContext.Default.VmRemoveDevice,
            (r, _) => Done(() => _vmm.RemoveDevice(r.Id))),
        Put(
            "vm.snapshot",
            "The VM could not be snapshotted",
            static () => ApiJsonContext.Default.VmSnapshotConfig,
            (c, _) => Done(() => _vmm.Snapshot(c))),
        Put(
            "vm.coredump",
            "The VM could not be dumped",
            static () => ApiJsonContext.Default.VmCoredumpData,
            (c, _) => Done(() => _vmm.Coredump(c))),
        Put(
            "vm.restore",
            "The VM could not be restored",
            static () => ApiJsonContext.Default.RestoreConfig,
            (c, r) => Take(r, fds => _vmm.Restore(c, fds))),
        Receive(),
        new("PUT", "vm.send-migration", "The VM could not be sent", static _ => NoContent)
        {
            Body = static () => ApiJsonContext.Default.SendMigrationData,
            Begin = Send,
            Answer = static () => ApiJsonContext.Default.MigrationInfo,
        },
        new("GET", "vm.migration", "The migration info is not available", _ => Json(_vmm.Migration(), ApiJsonContext.Default.MigrationInfo))
        {
            Answer = static () => ApiJsonContext.Default.MigrationInfo,
        },
        Action("vm.migration-cancel", "The migration could not be cancelled", _vmm.CancelMigration),
        Put(
            "vm.migration-set",
            "The migration could not be changed",
            static () => ApiJsonContext.Default.MigrationSettings,
            (c, _) => Done(() => _vmm.SetMigration(c))),
        new("PUT", "vm.migration-wait", "The migration could not be waited for", static _ => NoContent)
        {
            Begin = (_, respond) => _vmm.WaitForMigration(info => respond(Json(info, ApiJsonContext.Default.MigrationInfo))),
            Answer = static () => ApiJsonContext.Default.MigrationInfo,
        },
    ];

    private void Send(HttpRequest request, Action<HttpResponse> respond)
    {
        SendMigrationData data = JsonBody.Read(request.Body, ApiJsonContext.Default.SendMigrationData);
        _vmm.SendMigration(data);
        if (data.Wait)
        {
            // Asked for in the same breath: a VMM whose guest has moved is not there to be asked afterwards.
            _vmm.WaitForMigration(info => respond(Json(info, ApiJsonContext.Default.MigrationInfo)));
        }
        else
        {
            respond(NoContent);
        }
    }

    private ApiRoute Receive()
    {
        var route = new ApiRoute("PUT", "vm.receive-migration", "The VM could not be received", static _ => NoContent)
        {
            Body = static () => ApiJsonContext.Default.ReceiveMigrationData,
        };
        return route with
        {
            Begin = (request, respond) =>
            {
                ReceiveMigrationData data = JsonBody.Read(request.Body, ApiJsonContext.Default.ReceiveMigrationData);
                _vmm.ReceiveMigration(
                    data,
                    request.Descriptors,
                    failure => respond(failure is null ? NoContent : Error(StatusOf(failure.Kind), Chain(route, failure))));
                request.GiveAwayDescriptors();
            },
        };
    }

    private static ApiRoute Action(string name, string failure, Action action, Func<HttpResponse>? answer = null) =>
        new("PUT", name, failure, _ =>
        {
            action();
            return answer?.Invoke() ?? NoContent;
        });

    private static ApiRoute Put<T>(string name, string failure, Func<JsonTypeInfo<T>> type, Func<T, HttpRequest, HttpResponse> handle)
        where T : class =>
        new("PUT", name, failure, request => handle(JsonBody.Read(request.Body, type()), request)) { Body = type };

    /// <param name="withDescriptors">
    /// Puts what came along into the configuration; null where descriptors mean nothing and are closed.
    /// </param>
    private ApiRoute Add<T>(string name, Func<JsonTypeInfo<T>> type, Func<T, IReadOnlyList<FileDescriptor>, T>? withDescriptors = null)
        where T : class, IPciDeviceConfig =>
        new("PUT", name, "The device could not be added to the VM", request =>
        {
            T device = JsonBody.Read(request.Body, type());
            PciDeviceInfo? place;
            if (withDescriptors is null)
            {
                place = _vmm.AddDevice(device, []);
            }
            else
            {
                place = _vmm.AddDevice(withDescriptors(device, request.Descriptors), request.Descriptors);
                request.GiveAwayDescriptors();
            }

            return place is null ? NoContent : Json(place, ApiJsonContext.Default.PciDeviceInfo);
        })
        {
            Body = type, Answer = static () => ApiJsonContext.Default.PciDeviceInfo,
        };

    // Descriptors are not taken here: those named in the body are numbers of another process.
    private HttpResponse Create(VmConfig config)
    {
        VmConfig own = config with
        {
            Net = config.Net is { } nets ? [.. nets.Select(n => n with { Fds = null })] : null,
            Devices = config.Devices is { } devices ? [.. devices.Select(d => d with { Fd = null })] : null,
        };
        VmConfigValidator.ThrowIfInvalid(own);
        _vmm.Create(own);
        return NoContent;
    }

    private static HttpResponse Done(Action action)
    {
        action();
        return NoContent;
    }

    private static HttpResponse Take(HttpRequest request, Action<IReadOnlyList<FileDescriptor>> action)
    {
        action(request.Descriptors);
        request.GiveAwayDescriptors();
        return NoContent;
    }

    private static List<int>? TapQueues(IReadOnlyList<FileDescriptor> descriptors) =>
        descriptors.Count == 0 ? null : descriptors.ToList().ConvertAll(d => d.Value);

    private static int? HostDevice(IReadOnlyList<FileDescriptor> descriptors) => descriptors.Count switch
    {
        0 => null,
        1 => descriptors[0].Value,
        _ => throw new ConfigException("fd", $"{descriptors.Count} descriptors came along; a device has one"),
    };

    private HttpResponse Metrics() =>
        new(200, PrometheusText.Write(_vmm.Ping(), _vmm.Metrics(), ProcessFigures.Read(), _routes.Values))
        {
            ContentType = PrometheusText.ContentType,
        };
}
