namespace Cnvm.Ttrpc;

/// <summary>How a call ended; the numbers of gRPC's status codes.</summary>
public enum TtrpcCode
{
    /// <summary>Well.</summary>
    Ok = 0,

    /// <summary>Given up by the caller.</summary>
    Cancelled = 1,

    /// <summary>Nobody says why.</summary>
    Unknown = 2,

    /// <summary>What was asked is wrong at any time.</summary>
    InvalidArgument = 3,

    /// <summary>It took longer than the caller wanted to wait.</summary>
    DeadlineExceeded = 4,

    /// <summary>What was asked for is not there.</summary>
    NotFound = 5,

    /// <summary>What was to be made is there.</summary>
    AlreadyExists = 6,

    /// <summary>Not allowed to this caller.</summary>
    PermissionDenied = 7,

    /// <summary>A limit is reached.</summary>
    ResourceExhausted = 8,

    /// <summary>What was asked does not fit the present state.</summary>
    FailedPrecondition = 9,

    /// <summary>Something else came in between.</summary>
    Aborted = 10,

    /// <summary>Beyond what there is.</summary>
    OutOfRange = 11,

    /// <summary>There is no such service or method.</summary>
    Unimplemented = 12,

    /// <summary>A mistake of the other side.</summary>
    Internal = 13,

    /// <summary>The other side is not there, or not any more.</summary>
    Unavailable = 14,

    /// <summary>Data is lost.</summary>
    DataLoss = 15,

    /// <summary>The caller has not said who it is.</summary>
    Unauthenticated = 16,
}
