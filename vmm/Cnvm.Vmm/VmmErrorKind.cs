namespace Cnvm.Vmm;

/// <summary>Whose fault a failed request is; decides the HTTP status.</summary>
public enum VmmErrorKind
{
    /// <summary>Anything else, a call in the wrong state included: 500.</summary>
    Internal,

    /// <summary>The request is wrong in itself: 400.</summary>
    Invalid,

    /// <summary>No VM was created, or the device does not exist: 404.</summary>
    NotFound,

    /// <summary>An identifier or a device path is in use: 409.</summary>
    Conflict,

    /// <summary>An earlier request of this kind is still under way; ask again later: 429.</summary>
    Busy,
}
