using Cnvm.Devices;

namespace Cnvm.Virtio.Transport;

/// <content>Saved state.</content>
internal sealed partial class TransportCore
{
    /// <summary>The state; nothing changes.</summary>
    /// <exception cref="InvalidOperationException">A queue runs: <see cref="Pause"/> first.</exception>
    public TransportState Save()
    {
        lock (_lock)
        {
            if (Array.Exists(_queues, q => q.IsRunning))
            {
                throw new InvalidOperationException($"{_device.Id} is saved while its queues run");
            }

            return new TransportState
            {
                Status = (byte)_status,
                OfferedFeatures = _offered,
                DriverFeatures = _driverFeatures,
                DeviceFeatureSelect = _deviceFeatureSelect,
                DriverFeatureSelect = _driverFeatureSelect,
                QueueSelect = _queueSelect,
                ConfigGeneration = _generation,
                Queues = [.. _queues.Select(q => q.State)],
                Device = _device.Save(),
            };
        }
    }

    /// <summary>Throws unless <see cref="Restore"/> would take the state.</summary>
    /// <exception cref="DeviceStateException">It does not fit.</exception>
    public void Validate(TransportState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if ((state.DriverFeatures & ~_offered) != 0)
        {
            throw Refuse(
                nameof(state.DriverFeatures), $"the driver uses 0x{state.DriverFeatures & ~_offered:x}, which this device does not offer");
        }

        if (state.Queues is null || state.Queues.Length != _queues.Length)
        {
            throw Refuse(nameof(state.Queues), $"it has {state.Queues?.Length ?? 0} queues, the device {_queues.Length}");
        }

        for (int i = 0; i < _queues.Length; i++)
        {
            if (state.Queues[i].Enabled && state.Queues[i].Size > _queues[i].MaxSize)
            {
                throw Refuse(
                    nameof(state.Queues), $"queue {i} has {state.Queues[i].Size} elements, the device allows {_queues[i].MaxSize}");
            }
        }

        if (state.Device is null)
        {
            throw Refuse(nameof(state.Device), "it is missing");
        }
    }

    /// <summary>Takes a state over and stays paused: <see cref="Resume"/> starts the queues.</summary>
    /// <exception cref="DeviceStateException">It does not fit; nothing was changed.</exception>
    public void Restore(TransportState state)
    {
        Validate(state);
        lock (_lock)
        {
            for (int i = 0; i < _queues.Length; i++)
            {
                StopQueue(i);
            }

            _device.Reset();
            if ((state.Status & DeviceStatus.DriverOk) != 0)
            {
                _device.Activate(state.DriverFeatures);
            }

            _device.Restore(state.Device);
            _paused = true;
            _driverFeatures = state.DriverFeatures;
            _deviceFeatureSelect = state.DeviceFeatureSelect;
            _driverFeatureSelect = state.DriverFeatureSelect;
            _queueSelect = state.QueueSelect;
            Volatile.Write(ref _generation, state.ConfigGeneration);
            Volatile.Write(ref _status, state.Status);
            for (int i = 0; i < _queues.Length; i++)
            {
                _queues[i].State = state.Queues[i];
            }
        }
    }

    private DeviceStateException Refuse(string field, string reason) => new(_device.Id, field, reason);
}
